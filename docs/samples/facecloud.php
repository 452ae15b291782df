<?php
// 人脸识别 API 签名示例：PHP 8，没有依赖
//
// 调用     php facecloud.php face_detect photo.jpg [更多图片]
//          php facecloud.php face_compare a.jpg b.jpg
// 人脸库   php facecloud.php face_person_add '{"data": [{"group_id": "staff", "person_id": "1001",
//              "image": "@photo.jpg", "consent": {"reference": "HR-12"}}]}'
//          直接给出请求体；其中以 @ 开头的字符串是图片文件
// 核对签名 php facecloud.php --sign POST /api/v1/face_detect.json "" 1544518784923 '{"data": [...]}'
//
// 环境变量：FACECLOUD_URL、FACECLOUD_APP_KEY、FACECLOUD_SECRET_KEY

// 待签名串五行，用换行连接，末尾没有换行；查询串为空也占一行。
function sign(string $secret, string $method, string $path, string $query, string $dt, string $body): string
{
    $requestStr = implode("\n", [$method, $path, $query, $dt, sha1($body)]);
    return hash_hmac('sha256', $requestStr, $secret);
}

// 图片文件 → data:…;base64,…,URL 安全的 base64。
function data_uri(string $picture): string
{
    $encoded = strtr(base64_encode(file_get_contents($picture)), '+/', '-_');
    return 'data:application/octet-stream;base64,' . $encoded;
}

// 请求体中以 @ 开头的字符串换成图片文件的内容。
function with_pictures(string $body): string
{
    $replace = fn (array $found): string => '"' . data_uri($found[1]) . '"';
    return preg_replace_callback('/"@([^"]*)"/', $replace, $body);
}

function body_of(string $api, array $pictures): string
{
    if ($pictures[0][0] === '{') {
        return with_pictures($pictures[0]);
    }
    $images = array_map('data_uri', $pictures);
    // 检测与属性：一维列表；比对：二维列表，两张一组。
    $data = $api === 'face_compare' ? array_chunk($images, 2) : $images;
    return json_encode(['data' => $data], JSON_UNESCAPED_SLASHES);
}

// 调用并输出应答，返回是否成功。
function call(string $api, array $pictures): bool
{
    $body = body_of($api, $pictures);

    $path = "/api/v1/$api.json";
    $dt = (string) (int) (microtime(true) * 1000); // 毫秒
    $signature = sign(getenv('FACECLOUD_SECRET_KEY'), 'POST', $path, '', $dt, $body);
    $context = stream_context_create(['http' => [
        'method' => 'POST',
        'header' => [
            'Content-Type: application/json',
            "X-CTYUN-DT: $dt",
            'Authorization: CTYUN ' . getenv('FACECLOUD_APP_KEY') . ":$signature",
        ],
        'content' => $body,
        'timeout' => 300, // 服务器最长用时：60 秒，另加每张图片 2 秒
        'ignore_errors' => true, // 出错时的应答同样是 JSON:code、message、request_id
    ]]);
    $reply = fopen(getenv('FACECLOUD_URL') . $path, 'r', false, $context);
    if (!$reply) {
        return false; // 连不上服务：PHP 已给出原因
    }
    echo stream_get_contents($reply), "\n";
    $headers = stream_get_meta_data($reply)['wrapper_data'];
    foreach (preg_grep('/^Retry-After:/i', $headers) as $after) { // 服务繁忙：等待几秒再试
        fwrite(STDERR, "$after\n");
    }
    return str_contains($headers[0], ' 200');
}

if ($argv[1] === '--sign') {
    [, , $method, $path, $query, $dt, $body] = $argv;
    echo sign(getenv('FACECLOUD_SECRET_KEY'), $method, $path, $query, $dt, $body), "\n";
} elseif (!call($argv[1], array_slice($argv, 2))) {
    exit(1);
}
