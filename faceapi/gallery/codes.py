"""The face gallery's part of the table of answer codes (faceapi/errors/)."""

from faceapi.error_code import Code

NO_GROUP = 4301
NO_FACE = 4302
GALLERY_FULL = 4303
NOT_GOOD_ENOUGH = 4304
LOOKS_LIKE = 4305
NO_CONSENT = 4306
OTHER_MODEL = 4307
TOO_MANY_FACES = 4308

ROWS = (
    Code(
        NO_GROUP, 400,
        "人脸组不存在", "The group does not exist",
        "该应用没有这个 group_id 的人脸组。", "The App has no group with this group_id.",
        "用 face_group_list 查看现有的组，或先用 face_group_add 新建。",
        "List the groups with face_group_list, or create this one with face_group_add first.",
    ),
    Code(
        NO_FACE, 400,
        "人员或人脸不存在", "The person or face does not exist",
        "该组没有这个 person_id 的人员，或该人员没有这个 face_id 的人脸；也可能已到期删除。",
        "The group has no person with this person_id, or the person has no face with this face_id; "
        "it may have expired.",
        "用 face_person_list 查看组内的人员和人脸。",
        "List the group's persons and faces with face_person_list.",
    ),
    Code(
        GALLERY_FULL, 400,
        "人脸库已满", "The face gallery is full",
        "本次入库将超过该应用的人脸数或组数上限；上限见 detail。没有任何人脸入库，本次不计费。",
        "The request would exceed the App's limit of faces or groups, given in `detail`. Nothing was stored "
        "or charged.",
        "删除不再需要的人员或组，或联系管理员提高上限。",
        "Delete persons or groups that are no longer needed, or ask the administrator to raise the limit.",
    ),
    Code(
        NOT_GOOD_ENOUGH, 400,
        "图片质量不足以入库", "The image is not good enough to enrol",
        "图片没有人脸、有多张大小相近的人脸，或质量不足；原因见 detail 和 quality.reasons。"
        "没有任何人脸入库，本次不计费。",
        "The image has no face or several faces of similar size, or its quality is too low; `detail` and "
        "`quality.reasons` state why. Nothing was stored or charged.",
        "换一张只有本人、正面、清晰、光线均匀的图片；index 是该图片的序号。"
        "背景中明显更小的人脸不影响入库：入库的是最大的一张，位置见 location。",
        "Use a sharp, evenly lit, frontal image of this person alone; `index` is the image's position. "
        "Much smaller faces in the background do not matter: the largest is enrolled, at `location`.",
    ),
    Code(
        LOOKS_LIKE, 400,
        "与组内其他人员相似", "The face matches another person in the group",
        "请求带有 options.unique，且该人脸与组内另一人员的相似度达到判为同一人的阈值；"
        "其 person_id 见 detail。",
        "The request has options.unique, and the face matches another person in the group, whose person_id "
        "is in `detail`.",
        "确认是否为同一人：是则用同一个 person_id 入库，否则去掉 options.unique。",
        "Check whether they are the same person. If so, enrol the face under that person_id; otherwise leave "
        "out options.unique.",
    ),
    Code(
        NO_CONSENT, 400,
        "缺少有效的同意", "Consent is missing or has expired",
        "没有 consent.reference，或 consent.expires_at_ms 已过。",
        "consent.reference is missing, or consent.expires_at_ms has passed.",
        "取得本人的单独同意，在 consent.reference 填写其编号（1-100 个字符）。",
        "Obtain the person's separate consent, and send its reference (1-100 characters) as "
        "consent.reference.",
    ),
    Code(
        OTHER_MODEL, 400,
        "人脸组由其他模型版本入库", "The group was enrolled with another model version",
        "组内的人脸特征由另一模型版本生成，不能与当前版本比对。",
        "The templates of the group were computed by another model version and cannot be compared.",
        "新建一个组，用原图片重新入库，然后删除旧组。",
        "Create a new group, enrol its persons again from their images, then delete the old group.",
    ),
    Code(
        TOO_MANY_FACES, 400,
        "该人员的人脸数已达上限", "The person has too many faces",
        "每个人员最多 20 张人脸。", "A person has at most 20 faces.",
        "先用 face_person_delete 删除该人员的一张人脸。",
        "Delete one of the person's faces with face_person_delete first.",
    ),
)  # fmt: skip
