// 人脸识别 API 签名示例：Node.js 18 以上，没有依赖
//
// 调用     node facecloud.mjs face_detect photo.jpg [更多图片]
//          node facecloud.mjs face_compare a.jpg b.jpg
// 人脸库   node facecloud.mjs face_person_add '{"data": [{"group_id": "staff", "person_id": "1001",
//              "image": "@photo.jpg", "consent": {"reference": "HR-12"}}]}'
//          直接给出请求体；其中以 @ 开头的字符串是图片文件
// 核对签名 node facecloud.mjs --sign POST /api/v1/face_detect.json "" 1544518784923 '{"data": [...]}'
//
// 环境变量：FACECLOUD_URL、FACECLOUD_APP_KEY、FACECLOUD_SECRET_KEY
import { createHash, createHmac } from "node:crypto";
import { readFileSync } from "node:fs";

const { FACECLOUD_URL, FACECLOUD_APP_KEY, FACECLOUD_SECRET_KEY } = process.env;

// 待签名串五行，用换行连接，末尾没有换行；查询串为空也占一行。
function sign(secret, method, path, query, dt, body) {
  const sha1 = createHash("sha1").update(body).digest("hex");
  const requestStr = [method, path, query, dt, sha1].join("\n");
  return createHmac("sha256", secret).update(requestStr).digest("hex");
}

// 图片文件 → data:…;base64,…,URL 安全的 base64。
function dataUri(picture) {
  return "data:application/octet-stream;base64," + readFileSync(picture).toString("base64url");
}

// 请求体中以 @ 开头的字符串换成图片文件的内容。
function withPictures(text) {
  return JSON.parse(text, (_, value) =>
    typeof value === "string" && value.startsWith("@") ? dataUri(value.slice(1)) : value,
  );
}

function bodyOf(api, pictures) {
  if (pictures[0].startsWith("{")) return withPictures(pictures[0]);
  const images = pictures.map(dataUri);
  // 检测与属性：一维列表；比对：二维列表，两张一组。
  const pairs = () => images.flatMap((_, i) => (i % 2 ? [] : [images.slice(i, i + 2)]));
  return { data: api === "face_compare" ? pairs() : images };
}

// 调用并输出应答，返回是否成功。
async function call(api, pictures) {
  const body = JSON.stringify(bodyOf(api, pictures));

  const path = `/api/v1/${api}.json`;
  const dt = String(Date.now()); // 毫秒
  const signature = sign(FACECLOUD_SECRET_KEY, "POST", path, "", dt, body);
  const reply = await fetch(FACECLOUD_URL + path, {
    method: "POST",
    headers: {
      "Content-Type": "application/json",
      "X-CTYUN-DT": dt,
      Authorization: `CTYUN ${FACECLOUD_APP_KEY}:${signature}`,
    },
    body, // 与签名时是同一个字符串
    signal: AbortSignal.timeout(300_000), // 服务器最长用时：60 秒，另加每张图片 2 秒
  });
  console.log(await reply.text()); // 出错时同样是 JSON:code、message、request_id
  const after = reply.headers.get("Retry-After"); // 服务繁忙：等待几秒再试
  if (after) console.error(`Retry-After: ${after}`);
  return reply.status === 200;
}

const args = process.argv.slice(2);
if (args[0] === "--sign") {
  console.log(sign(FACECLOUD_SECRET_KEY, ...args.slice(1, 6)));
} else if (!(await call(args[0], args.slice(1)))) {
  process.exitCode = 1;
}
