// net/http. Usage: server PORT LOG
package main

import (
	"encoding/json"
	"io"
	"net/http"
	"os"
	"strings"
	"sync"
)

func main() {
	log, err := os.OpenFile(os.Args[2], os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		panic(err)
	}
	var one sync.Mutex
	answer := func(w http.ResponseWriter, r *http.Request) {
		mark := r.Header.Get("X-Mark")
		entry, _ := json.Marshal(map[string]string{
			"method": r.Method, "target": r.RequestURI, "mark": mark, "key": r.Header.Get("Authorization"),
		})
		one.Lock()
		log.Write(append(entry, '\n'))
		one.Unlock()
		if !strings.HasPrefix(r.RequestURI, "/unread") {
			io.Copy(io.Discard, r.Body)
		}
		w.Header().Set("X-Answer", mark)
		if r.Method != "HEAD" {
			w.Write([]byte(mark))
		}
	}
	panic(http.ListenAndServe("127.0.0.1:"+os.Args[1], http.HandlerFunc(answer)))
}
