#!/bin/sh
# 人脸识别 API 签名示例：curl + openssl
#
# 调用     sh facecloud.sh face_detect photo.jpg [更多图片]
#          sh facecloud.sh face_compare a.jpg b.jpg
# 人脸库   sh facecloud.sh face_person_add '{"data": [{"group_id": "staff", "person_id": "1001",
#              "image": "@photo.jpg", "consent": {"reference": "HR-12"}}]}'
#          直接给出请求体；其中以 @ 开头的字符串是图片文件
# 核对签名 sh facecloud.sh --sign POST /api/v1/face_detect.json "" 1544518784923 '{"data": [...]}'
#
# 环境变量：FACECLOUD_URL、FACECLOUD_APP_KEY、FACECLOUD_SECRET_KEY
set -eu

# 待签名串五行，用换行连接，末尾没有换行；查询串为空也占一行。
# 注意：openssl 的 -hmac 参数在本机的进程列表中可见，共用主机上请改用其他语言的示例。
sign() { # METHOD PATH QUERY DT BODY_FILE
    sha1=$(openssl dgst -sha1 -r "$5" | cut -d ' ' -f 1)
    printf '%s\n%s\n%s\n%s\n%s' "$1" "$2" "$3" "$4" "$sha1" |
        openssl dgst -sha256 -hmac "$FACECLOUD_SECRET_KEY" -r | cut -d ' ' -f 1
}

data_uri() { # 图片文件 → "data:…;base64,…",URL 安全的 base64
    printf '"data:application/octet-stream;base64,'
    openssl base64 -A -in "$1" | tr '+/' '-_'
    printf '"'
}

with_pictures() { # 请求体中以 @ 开头的字符串换成图片文件的内容
    rest=$1
    while [ "$rest" != "${rest#*\"@}" ]; do
        printf '%s' "${rest%%\"@*}"
        rest=${rest#*\"@}
        data_uri "${rest%%\"*}"
        rest=${rest#*\"}
    done
    printf '%s' "$rest"
}

body=$(mktemp) head=$(mktemp)
trap 'rm -f "$body" "$head"' EXIT

if [ "$1" = --sign ]; then
    printf '%s' "$6" >"$body"
    sign "$2" "$3" "$4" "$5" "$body"
    exit
fi

pairs_or_pictures() { # 检测与属性：一维列表；比对：二维列表，两张一组
    printf '{"data": ['
    comma=
    while [ $# -gt 0 ]; do
        printf '%s' "$comma"
        if [ "$api" = face_compare ]; then
            printf '['
            data_uri "$1"
            printf ', '
            data_uri "$2"
            printf ']'
            shift
        else
            data_uri "$1"
        fi
        comma=', '
        shift
    done
    printf ']}'
}

api=$1
shift
case $1 in
    '{'*) with_pictures "$1" ;;
    *) pairs_or_pictures "$@" ;;
esac >"$body"

path=/api/v1/$api.json
dt=$(date +%s%3N) # 毫秒；macOS 请用 coreutils 的 gdate
# 服务器最长用时：60 秒，另加每张图片 2 秒。
curl --silent --show-error --max-time 300 --dump-header "$head" \
    -H 'Content-Type: application/json' \
    -H "X-CTYUN-DT: $dt" \
    -H "Authorization: CTYUN $FACECLOUD_APP_KEY:$(sign POST "$path" '' "$dt" "$body")" \
    --data-binary "@$body" \
    "${FACECLOUD_URL}$path"
echo
# 出错时的应答同样是 JSON:code、message、request_id；服务繁忙时还有 Retry-After，即等待几秒再试。
grep -i '^retry-after:' "$head" >&2 || true
grep '^HTTP/' "$head" | tail -n 1 | grep -q ' 200'
