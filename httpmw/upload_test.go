// SPDX-License-Identifier: Apache-2.0

package httpmw_test

import (
	"bytes"
	"mime/multipart"
	"net/http"
	"os"
	"runtime"
	"testing"
	"time"

	"github.com/fairlead-go/fairlead/ctxutil"
	"github.com/fairlead-go/fairlead/httpmw"
)

// TestUploadsAreRemoved: net/http removes the files of an upload by the request
// that it made, and handlers get a copy of that.
func TestUploadsAreRemoved(t *testing.T) {
	for proto, http2 := range protocols {
		t.Run(proto, func(t *testing.T) {
			dir := t.TempDir()
			t.Setenv("TMPDIR", dir)
			files := func() int {
				entries, err := os.ReadDir(dir)
				if err != nil {
					t.Error(err)
				}
				return len(entries)
			}
			g, during := newRig(t), 0
			b := budget(t, ctxutil.WithMaxTimeout(time.Minute))
			base, plain := listen(t, httpmw.Chain(handle("POST /", func(_ http.ResponseWriter, r *http.Request) {
				if err := r.ParseMultipartForm(1); err != nil {
					t.Error(err)
				}
				during = files()
			}), httpmw.Record(g.recorder), httpmw.Deadline(b)), http2)
			var body bytes.Buffer
			form := multipart.NewWriter(&body)
			file, _ := form.CreateFormFile("file", "big")
			_, _ = file.Write(make([]byte, 1<<16))
			_ = form.Close()
			req, _ := http.NewRequestWithContext(t.Context(), http.MethodPost, base, &body)
			req.Header.Set("Content-Type", form.FormDataContentType())
			send(t, plain, req)
			g.settle()
			for deadline := time.Now().Add(5 * time.Second); files() != 0 && time.Now().Before(deadline); {
				runtime.Gosched()
			}
			if during != 1 || files() != 0 {
				t.Errorf("%d files during the request, and %d after it", during, files())
			}
		})
	}
}
