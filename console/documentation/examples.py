"""The requests and replies that the documentation shows (manual 4.2, with this product's fields)."""

IMAGES = """{
  "data": [
    "https://example.org/example.png",
    "data:application/octet-stream;base64,AAAAAAAAAA..."
  ]
}"""

PAIRS = """{
  "data": [
    ["https://example.org/a.png", "https://example.org/b.png"],
    ["data:application/octet-stream;base64,AAAAAAAAAA...", "https://example.org/c.png"]
  ]
}"""

FACE_DETECT = """{
  "code": 0,
  "message": "成功",
  "result": [
    {
      "face_list": [
        {
          "location": {"left": 142, "top": 73, "width": 239, "height": 304},
          "face_probability": 0.971,
          "landmark": {
            "left_eye": {"x": 205, "y": 190},
            "right_eye": {"x": 318, "y": 188},
            "nose": {"x": 262, "y": 252},
            "mouth_left": {"x": 214, "y": 301},
            "mouth_right": {"x": 310, "y": 300}
          }
        }
      ],
      "pic_quality": 0
    },
    {"face_list": [], "pic_quality": 1}
  ]
}"""

FACE_ANALYSE = """{
  "code": 0,
  "message": "成功",
  "result": [
    {
      "face_list": [
        {
          "age": 35,
          "gender": "M",
          "location": {"left": 142, "top": 73, "width": 239, "height": 304}
        }
      ],
      "pic_quality": 0
    }
  ]
}"""

FACE_COMPARE = """{
  "code": 0,
  "message": "成功",
  "result": [
    {"face_compare": "true", "confidence": 87.125, "pic_quality": 0},
    {"face_compare": "false", "confidence": 0.0, "pic_quality": 1}
  ]
}"""

SEARCH = """{
  "data": ["https://example.org/example.png"],
  "options": {"groups": ["staff"], "top": 5, "min_confidence": 70, "faces": "largest"}
}"""

FACE_SEARCH = """{
  "code": 0,
  "message": "成功",
  "result": [
    {
      "face_list": [
        {
          "location": {"left": 142, "top": 73, "width": 239, "height": 304},
          "person_list": [
            {
              "group_id": "staff",
              "person_id": "1001",
              "face_id": "5d1f7c0a3b6e4f0e9a7c2b8d4e6f1a03",
              "confidence": 91.204,
              "false_match_rate": 0.000997
            }
          ]
        }
      ],
      "pic_quality": 0
    }
  ]
}"""

# API: its request and its reply.
EXAMPLES = {
    "face_detect": (IMAGES, FACE_DETECT),
    "face_analyse": (IMAGES, FACE_ANALYSE),
    "face_compare": (PAIRS, FACE_COMPARE),
    "face_search": (SEARCH, FACE_SEARCH),
}

REQUEST_STR = """RequestStr =
    HTTPRequestMethod + '\\n' +
    HTTPRequestPath + '\\n' +
    HTTPRequestQuery + '\\n' +
    HEADER['X-CTYUN-DT'] + '\\n' +
    HexEncode(SHA1(RequestPayload))"""
