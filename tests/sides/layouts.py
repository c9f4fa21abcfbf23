"""Point names of public layouts: "left/right" for a pair, "name" for the midline, "?name" for a
point of which its name does not tell. In Python syntax `{a,b}` is spelled out for each of a and b.
"""

from __future__ import annotations

import itertools
import re

LAYOUTS = {
    "COCO 17": "nose, left_{eye,ear,shoulder,elbow,wrist,hip,knee,ankle}/"
               "right_{eye,ear,shoulder,elbow,wrist,hip,knee,ankle}",
    "COCO-WholeBody, without face": "nose, left_{eye,ear,shoulder,elbow,wrist,hip,knee,ankle,"
        "big_toe,small_toe,heel,hand_root}/right_{eye,ear,shoulder,elbow,wrist,hip,knee,ankle,"
        "big_toe,small_toe,heel,hand_root}, left_{thumb,forefinger,middle_finger,ring_finger,"
        "pinky_finger}{1,2,3,4}/right_{thumb,forefinger,middle_finger,ring_finger,pinky_finger}"
        "{1,2,3,4}",
    "OpenPose BODY_25": "Nose, Neck, MidHip, L{Shoulder,Elbow,Wrist,Hip,Knee,Ankle,Eye,Ear,BigToe,"
        "SmallToe,Heel}/R{Shoulder,Elbow,Wrist,Hip,Knee,Ankle,Eye,Ear,BigToe,SmallToe,Heel}",
    "Halpe 26": "nose, head, neck, hip, left_{eye,ear,shoulder,elbow,wrist,hip,knee,ankle,big_toe,"
        "small_toe,heel}/right_{eye,ear,shoulder,elbow,wrist,hip,knee,ankle,big_toe,small_toe,heel}",
    "MPII 16": "pelvis, thorax, upper_neck, head_top, left_{ankle,knee,hip,wrist,elbow,shoulder}/"
        "right_{ankle,knee,hip,wrist,elbow,shoulder}",
    "LSP 14": "neck, head top, Left {ankle,knee,hip,wrist,elbow,shoulder}/"
        "Right {ankle,knee,hip,wrist,elbow,shoulder}",
    "MPII-TRB": "head, neck, left_{shoulder,elbow,wrist,hip,knee,ankle,neck}/"
        "right_{shoulder,elbow,wrist,hip,knee,ankle,neck}, {medial,lateral}_left_{shoulder,bow,"
        "wrist,hip,knee,ankle}/{medial,lateral}_right_{shoulder,bow,wrist,hip,knee,ankle}",
    "CrowdPose": "top_head, neck, left_{shoulder,hip}/right_{shoulder,hip}",
    "PoseTrack": "nose, head_bottom, head_top, left_{ear,hip}/right_{ear,hip}",
    "Human3.6M": "root, spine, thorax, neck_base, head, left_{hip,knee,foot,shoulder,elbow,wrist}/"
        "right_{hip,knee,foot,shoulder,elbow,wrist}",
    "Kinect": "SpineBase, SpineMid, Neck, Head, SpineShoulder, Hip{Left}/Hip{Right}, "
        "Shoulder{Left}/Shoulder{Right}, Hand{Tip,}Left/Hand{Tip,}Right",
    "Kinect v1": "hip center, spine, shoulder center, head, {shoulder,hip,foot} left/"
        "{shoulder,hip,foot} right",
    "MediaPipe pose": "nose, left eye/right eye, left eye ({inner,outer})/"
        "right eye ({inner,outer}), mouth (left)/mouth (right), "
        "left {ear,shoulder,elbow,wrist,pinky,index,thumb,hip,knee,ankle,heel,foot index}/"
        "right {ear,shoulder,elbow,wrist,pinky,index,thumb,hip,knee,ankle,heel,foot index}",
    "InterHand": "?{thumb,forefinger,middle_finger,ring_finger,pinky_finger}{1,2,3,4}, ?wrist",
    "AP-10K": "nose, neck, root_of_tail, left_{eye,shoulder,elbow,front_paw,hip,knee,back_paw}/"
        "right_{eye,shoulder,elbow,front_paw,hip,knee,back_paw}",
    "AnimalPose": "Nose, Throat, TailBase, Withers, L_{Eye,EarBase}/R_{Eye,EarBase}, "
        "L_{F,B}_{Elbow,Knee,Paw}/R_{F,B}_{Elbow,Knee,Paw}",
    "StanfordExtra": "tail_start, tail_end, nose, chin, withers, throat, left_{front,rear}_{paw,"
        "knee,elbow}/right_{front,rear}_{paw,knee,elbow}, left_{ear_base,ear_tip,eye}/"
        "right_{ear_base,ear_tip,eye}",
    "SuperAnimal quadruped": "nose, upper_jaw, lower_jaw, mouth_end_left/mouth_end_right, "
        "left_{eye,earbase,earend,antler_base,antler_end}/right_{eye,earbase,earend,antler_base,"
        "antler_end}, neck_{base,end}, throat_{base,end}, back_{base,end,middle}, tail_{base,end}, "
        "{front,back}_left_{thai,knee,paw}/{front,back}_right_{thai,knee,paw}, belly_bottom, "
        "body_middle_left/body_middle_right",
    "SuperAnimal top view": "nose, neck, mid_back, mouse_center, mid_backend, mid_backend{2,3}, "
        "tail_base, tail{1,2,3,4,5}, tail_end, head_midpoint, left_{ear,ear_tip,eye,shoulder,"
        "midside,hip}/right_{ear,ear_tip,eye,shoulder,midside,hip}",
    "DeepLabCut open field": "snout, leftear/rightear, tailbase",
    "DeepLabCut three mice": "snout, leftear/rightear, ?shoulder, spine{1,2,3,4}, tailbase, "
        "tail{1,2}, tailend",
    "DeepLabCut marmoset": "?Front, Middle, Left/Right, FL{1,2}/FR{1,2}, BL{1,2}/BR{1,2}, "
        "Body{1,2,3}",
    "DeepLabCut reaching": "?Hand, ?Finger1, Tongue, ?Joystick{1,2}",
    "MARS mouse": "nose, left ear/right ear, neck, left side body/right side body, tail base",
    "SLEAP flies": "head, neck, thorax, abdomen, wingL/wingR, {fore,mid,hind}legL{1,2,3}/"
        "{fore,mid,hind}legR{1,2,3}",
    "DeepPoseKit fly": "head, eyeL/eyeR, neck, thorax, abdomen, {fore,mid,hind}legL{1,2,3,4}/"
        "{fore,mid,hind}legR{1,2,3,4}, wingL/wingR",
    "DeepPoseKit locust": "head, neck, thorax, abdomen{1,2}, {anttip,antbase,eye}L/"
        "{anttip,antbase,eye}R, {fore,mid,hind}legL{1,2,3,4}/{fore,mid,hind}legR{1,2,3,4}",
    "DeepPoseKit zebra": "snout, head, neck, {fore,hind}legL1/{fore,hind}legR1, tailbase, tailtip",
    "mirror mouse": "paw1LH_{top,bot}/paw4RH_{top,bot}, paw2LF_{top,bot}/paw3RF_{top,bot}, "
        "tailBase_{top,bot}, tailMid_{top,bot}, nose_{top,bot}, ?obs_top, ?obs{High,Low}_bot",
    "Horse-10": "Nose, Wither, ?Eye, ?{Near,Off}knee, ?{Near,Off}{front,hind}{fetlock,foot}, "
        "?Shoulder, ?Midshoulder, ?Elbow, ?Girth, ?{Near,Off}hindhock, ?Hip, ?Stifle, ?Ischium",
    "ATRW tiger": "nose, tail, center, left_{ear,shoulder,front_paw,hip,knee,back_paw}/"
        "right_{ear,shoulder,front_paw,hip,knee,back_paw}",
    "Animal Kingdom": "Head_Mid_Top, Mouth_Front_{Top,Bottom}, Torso_Mid_Back, "
        "Tail_{Top,Mid,End}_Back, {Eye,Mouth_Back,Shoulder,Elbow,Wrist,Hip,Knee,Ankle}_Left/"
        "{Eye,Mouth_Back,Shoulder,Elbow,Wrist,Hip,Knee,Ankle}_Right",
    "CUB-200 birds": "back, beak, belly, breast, crown, forehead, nape, tail, throat, "
        "left {eye,leg,wing}/right {eye,leg,wing}",
    "DANNCE mouse": "nose, neck, body_middle, tail_{root,middle,end}, "
        "left_{ear_tip,paw_end,foot}/right_{ear_tip,paw_end,foot}",
    "CarFusion": "Left {Front,Back} {Wheel,HeadLight,Top}/"
        "Right {Front,Back} {Wheel,HeadLight,Top}, ?Exhaust, ?misc",
    "CelebA": "lefteye/righteye, nose, leftmouth/rightmouth",
    "WFLW": "?point_{0,33,51,54,59,76,96,97}",
    "other tools' samples": "nose, left_ear/right_ear, tail_base",
}  # fmt: skip


def _spelled_out(item: str) -> list[str]:
    parts = re.split(r"\{(.*?)\}", item)
    options = [part.split(",") if i % 2 else [part] for i, part in enumerate(parts)]
    return ["".join(chosen) for chosen in itertools.product(*options)]


def read(text: str) -> tuple[list[tuple[str, str]], list[str], list[str]]:
    """Pairs, names on the midline and unknown names of a layout."""
    pairs, midline, unknown = [], [], []
    for item in re.split(r", (?![^{]*\})", text):
        if "/" in item:
            left, right = map(_spelled_out, item.split("/"))
            pairs += zip(left, right, strict=True)
        else:
            (unknown if item[0] == "?" else midline).extend(_spelled_out(item.removeprefix("?")))
    return pairs, midline, unknown
