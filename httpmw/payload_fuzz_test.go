// SPDX-License-Identifier: Apache-2.0

package httpmw_test

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/fairlead-go/fairlead/httpmw"
)

// FuzzPayload: whatever a body is, it arrives, is a line of bounded size, and
// does not tell what stands under a secret name.
func FuzzPayload(f *testing.F) {
	for _, body := range []string{`{"a":{"b":[1,null,{"c":"d"}]}}`, `[[[[`, `"x"`, "a=b&c=%zz", "\x00\xff", `{"":{"":1}}`, strings.Repeat("[", 5000)} {
		for _, contentType := range []string{"application/json", "text/plain; charset=x", "application/x-www-form-urlencoded", "", "a/b;;"} {
			f.Add(contentType, body)
		}
	}
	const hidden = "hunter2hunter2"
	f.Fuzz(func(t *testing.T, contentType, body string) {
		if quoted, err := json.Marshal(body); err == nil && len(body) > 0 && body[0] == '{' {
			body = `{"in":[{"password":"` + hidden + `","x":` + string(quoted) + `}]}`
		}
		var log bytes.Buffer
		h := httpmw.PayloadLog(debugLog(&log))(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header()["Content-Type"] = r.Header["Content-Type"]
			_, _ = io.Copy(w, r.Body)
		}))
		r := httptest.NewRequest(http.MethodPost, "/login", strings.NewReader(body))
		r.Header["Content-Type"] = []string{contentType}
		if w := direct(h, r); w.Body.String() != body {
			t.Errorf("the body became %.100q", w.Body)
		}
		if len(payloadLines(t, &log)) != 2 || !utf8.ValidString(log.String()) || log.Len() > 2*(1<<10+6*(httpmw.DefaultMaxPayloadBytes+len(contentType))) {
			t.Errorf("%d bytes logged: %.300q", log.Len(), log.String())
		}
		if strings.Contains(log.String(), hidden) {
			t.Errorf("logged %s", log.String())
		}
	})
}
