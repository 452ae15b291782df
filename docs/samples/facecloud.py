#!/usr/bin/env python3
"""人脸识别 API 签名示例：Python 3.9 以上，只用标准库。

调用    python3 facecloud.py face_detect photo.jpg [更多图片]
        python3 facecloud.py face_compare a.jpg b.jpg
人脸库  python3 facecloud.py face_person_add '{"data": [{"group_id": "staff", "person_id": "1001",
            "image": "@photo.jpg", "consent": {"reference": "HR-12"}}]}'
        直接给出请求体；其中以 @ 开头的字符串是图片文件
核对签名 python3 facecloud.py --sign POST /api/v1/face_detect.json "" 1544518784923 '{"data": [...]}'

环境变量：FACECLOUD_URL、FACECLOUD_APP_KEY、FACECLOUD_SECRET_KEY
"""

import base64
import hashlib
import hmac
import json
import os
import sys
import time
import urllib.error
import urllib.request


def sign(secret: str, method: str, path: str, query: str, dt: str, body: bytes) -> str:
    """待签名串五行，用换行连接，末尾没有换行；查询串为空也占一行。"""
    request_str = "\n".join([method, path, query, dt, hashlib.sha1(body).hexdigest()])
    return hmac.new(secret.encode(), request_str.encode(), hashlib.sha256).hexdigest()


def data_uri(picture: str) -> str:
    with open(picture, "rb") as file:
        encoded = base64.urlsafe_b64encode(file.read()).decode()
    return "data:application/octet-stream;base64," + encoded


def with_pictures(value: object) -> object:
    """把请求体中以 @ 开头的字符串换成图片文件的内容。"""
    if isinstance(value, dict):
        return {name: with_pictures(one) for name, one in value.items()}
    if isinstance(value, list):
        return [with_pictures(one) for one in value]
    return data_uri(value[1:]) if isinstance(value, str) and value.startswith("@") else value


def body_of(api: str, pictures: list[str]) -> object:
    if pictures[0].startswith("{"):
        return with_pictures(json.loads(pictures[0]))
    images = [data_uri(picture) for picture in pictures]
    # 检测与属性：一维列表；比对：二维列表，两张一组。
    data = [images[i : i + 2] for i in range(0, len(images), 2)] if api == "face_compare" else images
    return {"data": data}


def call(api: str, pictures: list[str]) -> bool:
    """调用并输出应答，返回是否成功。"""
    body = json.dumps(body_of(api, pictures)).encode()  # 签名与发送必须是同一串字节

    path = f"/api/v1/{api}.json"
    dt = str(int(time.time() * 1000))  # 毫秒
    signature = sign(os.environ["FACECLOUD_SECRET_KEY"], "POST", path, "", dt, body)
    request = urllib.request.Request(
        os.environ["FACECLOUD_URL"] + path,
        data=body,
        headers={
            "Content-Type": "application/json",
            "X-CTYUN-DT": dt,
            "Authorization": f"CTYUN {os.environ['FACECLOUD_APP_KEY']}:{signature}",
        },
    )
    try:
        reply = urllib.request.urlopen(request, timeout=300)  # 服务器最长用时：60 秒，另加每张图片 2 秒
    except urllib.error.HTTPError as refused:  # 出错时的应答同样是 JSON:code、message、request_id
        reply = refused
    with reply:
        print(reply.read().decode())
    if "Retry-After" in reply.headers:  # 服务繁忙：等待几秒再试
        print("Retry-After:", reply.headers["Retry-After"], file=sys.stderr)
    return reply.status == 200


if __name__ == "__main__":
    if sys.argv[1] == "--sign":
        method, path, query, dt, body = sys.argv[2:7]
        print(sign(os.environ["FACECLOUD_SECRET_KEY"], method, path, query, dt, body.encode()))
    elif not call(sys.argv[1], sys.argv[2:]):
        sys.exit(1)
