# InsLoc with FPN, 200 epochs of ImageNet. Its detectors put a new norm behind
# the pretrained fully connected layer.
_base_ = './scratch.py'

__weights = dict(
    load_from='work_dirs/insloc_r50_fpn_8xb32-coslr-200e_in1k/epoch_200.pth')

start = dict(
    name='insloc_fpn',
    fpn=dict(
        __weights,
        model=dict(
            roi_head=dict(bbox_head=dict(type='mmloc.ExtraNormBBoxHead')))),
    c4=__weights,
    dense=__weights,
    classifier=__weights)
