# Copyright (c) mmloc contributors. All rights reserved.
from collections.abc import Sequence
from itertools import accumulate

import torch
import torch.distributed as torch_dist
from mmengine.dist import all_gather, broadcast, get_rank, get_world_size
from torch import Tensor


class SampleShuffle:
    """A random permutation of the samples of all ranks, and its inverse.

    The key network of MoCo-like methods uses plain BatchNorm per rank. If
    query and key of a sample shared their BatchNorm batch, the statistics
    would give away which key belongs to which query. Therefore the key
    batches are mixed over the ranks before the key network and sorted back
    behind it (MoCo, Sec. 3.3, "Shuffling BN"; InsLoc shuffles images
    together with their boxes).

    Each sample travels once, straight to the rank that needs it. Each rank
    keeps its number of samples; these numbers may differ between ranks.
    Without a process group nothing is moved or copied unless ``within`` is
    set, because a permutation within one BatchNorm batch changes no
    statistics.

    Args:
        num_samples (int): Number of samples N of this rank.
        device (torch.device): Device on which the tensors live.
        within (bool): Whether a single process permutes its samples, which
            matters if it splits them into several BatchNorm batches.
            Defaults to False.
    """

    def __init__(self,
                 num_samples: int,
                 device: torch.device,
                 within: bool = False) -> None:
        self.world_size = get_world_size()
        self.active = self.world_size > 1 or within
        if not self.active:
            return
        size = torch.tensor([num_samples], device=device)
        sizes = torch.cat(all_gather(size)).tolist()
        order = torch.randperm(sum(sizes), device=device)
        broadcast(order)
        ends = list(accumulate(sizes))
        owner = [r for r, size in enumerate(sizes) for _ in range(size)]
        rank = get_rank()
        first = ends[rank] - num_samples

        # Slot i of the shuffled batch takes sample order[i]. Both sides of
        # an exchange list what passes between two ranks by rising slot.
        order = order.tolist()
        leaving = sorted(
            (owner[slot], slot, sample - first)
            for slot, sample in enumerate(order) if owner[sample] == rank)
        arriving = sorted((owner[order[slot]], slot, slot - first)
                          for slot in range(first, ends[rank]))
        self._leaving = [(peer, index) for peer, _, index in leaving]
        self._arriving = [(peer, index) for peer, _, index in arriving]

    def shuffle(
            self,
            rows: Tensor,
            counts: Sequence[int] | None = None
    ) -> tuple[Tensor, list[int]]:
        """Exchange samples for those of the shuffled batch.

        Args:
            rows (Tensor): Rows of all samples of this rank one after the
                other, shape (sum of counts, ...).
            counts (Sequence[int], optional): Number of rows of each sample,
                length N. Defaults to one row per sample.

        Returns:
            tuple: Rows of the samples received, and their counts.
        """
        return self._exchange(rows, counts, send=True)

    def unshuffle(
            self,
            rows: Tensor,
            counts: Sequence[int] | None = None
    ) -> tuple[Tensor, list[int]]:
        """Undo :meth:`shuffle`; arguments and results are alike."""
        return self._exchange(rows, counts, send=False)

    def _exchange(self, rows: Tensor, counts: Sequence[int] | None,
                  send: bool) -> tuple[Tensor, list[int]]:
        single = counts is None
        counts = [1] * len(rows) if single else list(counts)
        if not self.active:
            return rows, counts
        outgoing, incoming = ((self._leaving, self._arriving) if send else
                              (self._arriving, self._leaving))
        ones = [1] * len(counts)
        new_counts = ones if single else self._send(
            torch.tensor(counts, device=rows.device), ones, outgoing, ones,
            incoming).tolist()
        by_arrival = [new_counts[index] for _, index in incoming]
        return self._send(rows, counts, outgoing, by_arrival,
                          incoming), new_counts

    def _send(self, rows: Tensor, counts: list[int],
              outgoing: list[tuple[int, int]], incoming_counts: list[int],
              incoming: list[tuple[int, int]]) -> Tensor:
        """Send the rows of ``outgoing``, place those of ``incoming``.

        Both are lists of (peer, index of a local sample); ``counts`` goes
        with the local samples and ``incoming_counts`` with ``incoming``.
        """
        send_sizes, receive_sizes = [0] * self.world_size, [
            0
        ] * self.world_size
        for peer, index in outgoing:
            send_sizes[peer] += counts[index]
        for (peer, _), count in zip(incoming, incoming_counts):
            receive_sizes[peer] += count

        samples = rows.split(counts)
        sent = torch.cat([samples[index] for _, index in outgoing])
        received = sent
        if self.world_size > 1:
            received = rows.new_empty(sum(receive_sizes), *rows.shape[1:])
            torch_dist.all_to_all_single(received, sent, receive_sizes,
                                         send_sizes)

        placed: list[Tensor] = [received] * len(incoming)
        for sample, (_, index) in zip(
                received.split(incoming_counts), incoming):
            placed[index] = sample
        return torch.cat(placed)
