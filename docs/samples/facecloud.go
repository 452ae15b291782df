// 人脸识别 API 签名示例：Go 1.18 以上，只用标准库
//
// 调用     go run facecloud.go face_detect photo.jpg [更多图片]
//          go run facecloud.go face_compare a.jpg b.jpg
// 人脸库   go run facecloud.go face_person_add '{"data": [{"group_id": "staff", "person_id": "1001",
//              "image": "@photo.jpg", "consent": {"reference": "HR-12"}}]}'
//          直接给出请求体；其中以 @ 开头的字符串是图片文件
// 核对签名 go run facecloud.go --sign POST /api/v1/face_detect.json "" 1544518784923 '{"data": [...]}'
//
// 环境变量：FACECLOUD_URL、FACECLOUD_APP_KEY、FACECLOUD_SECRET_KEY
package main

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net/http"
	"os"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// 待签名串五行，用换行连接，末尾没有换行；查询串为空也占一行。
func sign(secret, method, path, query, dt string, body []byte) string {
	sum := sha1.Sum(body)
	requestStr := strings.Join([]string{method, path, query, dt, hex.EncodeToString(sum[:])}, "\n")
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte(requestStr))
	return hex.EncodeToString(mac.Sum(nil))
}

// 图片文件 → data:…;base64,…,URL 安全的 base64。
func dataURI(picture string) (string, error) {
	content, err := os.ReadFile(picture)
	return "data:application/octet-stream;base64," + base64.URLEncoding.EncodeToString(content), err
}

// 请求体中以 @ 开头的字符串换成图片文件的内容。
func withPictures(body string) ([]byte, error) {
	var failed error
	replaced := regexp.MustCompile(`"@([^"]*)"`).ReplaceAllStringFunc(body, func(found string) string {
		uri, err := dataURI(found[2 : len(found)-1])
		if err != nil {
			failed = err
		}
		return `"` + uri + `"`
	})
	return []byte(replaced), failed
}

func bodyOf(api string, pictures []string) ([]byte, error) {
	if strings.HasPrefix(pictures[0], "{") {
		return withPictures(pictures[0])
	}
	images := make([]string, len(pictures))
	for i, picture := range pictures {
		uri, err := dataURI(picture)
		if err != nil {
			return nil, err
		}
		images[i] = uri
	}
	// 检测与属性：一维列表；比对：二维列表，两张一组。
	var data any = images
	if api == "face_compare" {
		pairs := [][]string{}
		for ; len(images) > 2; images = images[2:] {
			pairs = append(pairs, images[:2])
		}
		pairs = append(pairs, images)
		data = pairs
	}
	return json.Marshal(map[string]any{"data": data})
}

// 调用并输出应答，返回是否成功。
func call(api string, pictures []string) (bool, error) {
	body, err := bodyOf(api, pictures)
	if err != nil {
		return false, err
	}

	path := "/api/v1/" + api + ".json"
	dt := strconv.FormatInt(time.Now().UnixMilli(), 10) // 毫秒
	signature := sign(os.Getenv("FACECLOUD_SECRET_KEY"), "POST", path, "", dt, body)
	request, err := http.NewRequest("POST", os.Getenv("FACECLOUD_URL")+path, bytes.NewReader(body))
	if err != nil {
		return false, err
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("X-CTYUN-DT", dt)
	request.Header.Set("Authorization", "CTYUN "+os.Getenv("FACECLOUD_APP_KEY")+":"+signature)
	client := http.Client{Timeout: 300 * time.Second} // 服务器最长用时：60 秒，另加每张图片 2 秒
	reply, err := client.Do(request)
	if err != nil {
		return false, err
	}
	defer reply.Body.Close()
	text, err := io.ReadAll(reply.Body)
	fmt.Println(string(text)) // 出错时同样是 JSON:code、message、request_id
	if after := reply.Header.Get("Retry-After"); after != "" { // 服务繁忙：等待几秒再试
		fmt.Fprintln(os.Stderr, "Retry-After:", after)
	}
	return reply.StatusCode == 200, err
}

func main() {
	if os.Args[1] == "--sign" {
		a := os.Args[2:]
		fmt.Println(sign(os.Getenv("FACECLOUD_SECRET_KEY"), a[0], a[1], a[2], a[3], []byte(a[4])))
		return
	}
	ok, err := call(os.Args[1], os.Args[2:])
	if err != nil {
		log.Fatal(err)
	}
	if !ok {
		os.Exit(1)
	}
}
