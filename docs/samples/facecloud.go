// 人脸识别 API 签名示例：Go 1.18 以上，只用标准库
//
// 调用     go run facecloud.go face_detect photo.jpg [更多图片]
//          go run facecloud.go face_compare a.jpg b.jpg
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

func call(api string, pictures []string) (string, error) {
	images := make([]string, len(pictures))
	for i, picture := range pictures {
		uri, err := dataURI(picture)
		if err != nil {
			return "", err
		}
		images[i] = uri
	}
	// 检测与属性：一维列表；比对：二维列表，两张一组。
	var data any = images
	if api == "face_compare" {
		pairs := [][]string{}
		for i := 0; i+1 < len(images); i += 2 {
			pairs = append(pairs, images[i:i+2])
		}
		data = pairs
	}
	body, err := json.Marshal(map[string]any{"data": data})
	if err != nil {
		return "", err
	}

	path := "/api/v1/" + api + ".json"
	dt := strconv.FormatInt(time.Now().UnixMilli(), 10) // 毫秒
	signature := sign(os.Getenv("FACECLOUD_SECRET_KEY"), "POST", path, "", dt, body)
	request, err := http.NewRequest("POST", os.Getenv("FACECLOUD_URL")+path, bytes.NewReader(body))
	if err != nil {
		return "", err
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("X-CTYUN-DT", dt)
	request.Header.Set("Authorization", "CTYUN "+os.Getenv("FACECLOUD_APP_KEY")+":"+signature)
	client := http.Client{Timeout: 60 * time.Second}
	reply, err := client.Do(request)
	if err != nil {
		return "", err
	}
	defer reply.Body.Close()
	text, err := io.ReadAll(reply.Body)
	return string(text), err
}

func main() {
	if os.Args[1] == "--sign" {
		a := os.Args[2:]
		fmt.Println(sign(os.Getenv("FACECLOUD_SECRET_KEY"), a[0], a[1], a[2], a[3], []byte(a[4])))
		return
	}
	reply, err := call(os.Args[1], os.Args[2:])
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(reply)
}
