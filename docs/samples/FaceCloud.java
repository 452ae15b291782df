// 人脸识别 API 签名示例：Java 11 以上，只用 JDK
//
// 调用     java FaceCloud.java face_detect photo.jpg [更多图片]
//          java FaceCloud.java face_compare a.jpg b.jpg
// 人脸库   java FaceCloud.java face_person_add '{"data": [{"group_id": "staff", "person_id": "1001",
//              "image": "@photo.jpg", "consent": {"reference": "HR-12"}}]}'
//          直接给出请求体；其中以 @ 开头的字符串是图片文件
// 核对签名 java FaceCloud.java --sign POST /api/v1/face_detect.json "" 1544518784923 '{"data": [...]}'
//
// 环境变量：FACECLOUD_URL、FACECLOUD_APP_KEY、FACECLOUD_SECRET_KEY

import static java.nio.charset.StandardCharsets.UTF_8;

import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Base64;
import java.util.List;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import javax.crypto.Mac;
import javax.crypto.spec.SecretKeySpec;

public class FaceCloud {
    /** 待签名串五行，用换行连接，末尾没有换行；查询串为空也占一行。 */
    static String sign(String secret, String method, String path, String query, String dt, byte[] body)
            throws Exception {
        String sha1 = hex(MessageDigest.getInstance("SHA-1").digest(body));
        String requestStr = String.join("\n", method, path, query, dt, sha1);
        Mac mac = Mac.getInstance("HmacSHA256");
        mac.init(new SecretKeySpec(secret.getBytes(UTF_8), "HmacSHA256"));
        return hex(mac.doFinal(requestStr.getBytes(UTF_8)));
    }

    static String env(String name) {
        String value = System.getenv(name);
        if (value == null || value.isEmpty()) throw new IllegalStateException("请设置环境变量 " + name);
        return value;
    }

    static String hex(byte[] bytes) {
        StringBuilder text = new StringBuilder();
        for (byte b : bytes) text.append(String.format("%02x", b));
        return text.toString();
    }

    /** 图片文件 → "data:…;base64,…",URL 安全的 base64。 */
    static String dataUri(String picture) throws Exception {
        String encoded = Base64.getUrlEncoder().encodeToString(Files.readAllBytes(Path.of(picture)));
        return "\"data:application/octet-stream;base64," + encoded + "\"";
    }

    /** 请求体中以 @ 开头的字符串换成图片文件的内容。 */
    static String withPictures(String body) throws Exception {
        Matcher found = Pattern.compile("\"@([^\"]*)\"").matcher(body);
        StringBuilder text = new StringBuilder();
        while (found.find()) found.appendReplacement(text, dataUri(found.group(1)));
        return found.appendTail(text).toString();
    }

    static String bodyOf(String api, List<String> pictures) throws Exception {
        if (pictures.get(0).startsWith("{")) return withPictures(pictures.get(0));
        // 检测与属性：一维列表；比对：二维列表，两张一组。
        List<String> data = new ArrayList<>();
        if (api.equals("face_compare")) {
            for (int i = 0; i < pictures.size(); i += 2)
                data.add("[" + dataUri(pictures.get(i)) + ", " + dataUri(pictures.get(i + 1)) + "]");
        } else {
            for (String picture : pictures) data.add(dataUri(picture));
        }
        return "{\"data\": [" + String.join(", ", data) + "]}";
    }

    /** 调用并输出应答，返回是否成功。 */
    static boolean call(String api, List<String> pictures) throws Exception {
        byte[] body = bodyOf(api, pictures).getBytes(UTF_8);
        String path = "/api/v1/" + api + ".json";
        String dt = String.valueOf(System.currentTimeMillis()); // 毫秒
        String signature = sign(env("FACECLOUD_SECRET_KEY"), "POST", path, "", dt, body);
        HttpRequest request = HttpRequest.newBuilder(URI.create(env("FACECLOUD_URL") + path))
                .timeout(Duration.ofSeconds(300)) // 服务器最长用时：60 秒，另加每张图片 2 秒
                .header("Content-Type", "application/json")
                .header("X-CTYUN-DT", dt)
                .header("Authorization", "CTYUN " + env("FACECLOUD_APP_KEY") + ":" + signature)
                .POST(HttpRequest.BodyPublishers.ofByteArray(body))
                .build();
        HttpClient client = HttpClient.newBuilder().version(HttpClient.Version.HTTP_1_1).build();
        HttpResponse<String> reply = client.send(request, HttpResponse.BodyHandlers.ofString(UTF_8));
        System.out.println(reply.body()); // 出错时同样是 JSON:code、message、request_id
        // 服务繁忙：等待几秒再试
        reply.headers().firstValue("Retry-After").ifPresent(s -> System.err.println("Retry-After: " + s));
        return reply.statusCode() == 200;
    }

    public static void main(String[] args) throws Exception {
        if (args[0].equals("--sign")) {
            String secret = env("FACECLOUD_SECRET_KEY");
            System.out.println(sign(secret, args[1], args[2], args[3], args[4], args[5].getBytes(UTF_8)));
        } else if (!call(args[0], List.of(args).subList(1, args.length))) {
            System.exit(1);
        }
    }
}
