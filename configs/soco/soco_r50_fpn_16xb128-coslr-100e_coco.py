"""SoCo, ResNet-50 FPN, 100 epochs of COCO train2017 and unlabeled2017.

    for part in train2017 unlabeled2017; do
        python tools/dataset_tools/generate_proposals.py \
            data/coco/$part data/coco/$part.mmprop
    done

The authors pretrained on these 241k images for 100 and 530 epochs. Expected
score: about 40.6 box AP (Mask R-CNN R50-FPN, COCO 1x, a figure quoted from
memory). Here: not run.
"""
_base_ = './soco_r50_fpn_16xb128-coslr-100e_in1k.py'

# One proposal file for each folder.
load_image, load_proposals, *views = _base_.train_pipeline
train_dataloader = dict(
    dataset=dict(
        _delete_=True,
        type='ConcatDataset',
        datasets=[
            dict(
                type='mmloc.UnlabeledImageDataset',
                data_root='data/coco',
                data_prefix=dict(img='train2017'),
                pipeline=[
                    load_image,
                    dict(
                        load_proposals,
                        proposal_file='data/coco/train2017.mmprop'), *views
                ]),
            dict(
                type='mmloc.UnlabeledImageDataset',
                data_root='data/coco',
                data_prefix=dict(img='unlabeled2017'),
                pipeline=[
                    load_image,
                    dict(
                        load_proposals,
                        proposal_file='data/coco/unlabeled2017.mmprop'),
                    *views
                ])
        ]))
