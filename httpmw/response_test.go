// SPDX-License-Identifier: Apache-2.0

package httpmw_test

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestServerSentEvents: what is flushed arrives while the handler runs.
func TestServerSentEvents(t *testing.T) {
	for proto, http2 := range protocols {
		t.Run(proto, func(t *testing.T) {
			g := newRig(t)
			proceed := make(chan struct{})
			base, plain := listen(t, g.served(handle("GET /events", func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", "text/event-stream")
				_, _ = io.WriteString(w, "data: 1\n\n")
				w.(http.Flusher).Flush()
				<-proceed
				_, _ = io.WriteString(w, "data: 2\n\n")
			})), http2)
			resp, err := g.clientOf(plain, "").Get(base + "/events")
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			events := bufio.NewReader(resp.Body)
			if line, err := events.ReadString('\n'); line != "data: 1\n" {
				t.Errorf("first event %q, %v", line, err)
			}
			if n := len(g.seen.Run(t).Logs().With("http server request").All()); n != 0 {
				t.Errorf("%d request lines while the stream runs", n)
			}
			close(proceed)
			if rest, err := io.ReadAll(events); string(rest) != "\ndata: 2\n\n" {
				t.Errorf("the rest is %q, %v", rest, err)
			}
			wantLine(t, g.line(g.server()), map[string]any{"http.response.status_code": 200.0, "response_bytes": 18.0})
			wantLine(t, g.line(g.client()), map[string]any{"http.response.status_code": 200.0, "response_bytes": 18.0})
		})
	}
}

// TestUpgrade: a connection that is taken over is a 101, and the records of both
// sides last as long as it does.
func TestUpgrade(t *testing.T) {
	g := newRig(t)
	base, plain := listen(t, g.served(handle("GET /socket", func(w http.ResponseWriter, _ *http.Request) {
		conn, buf, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer conn.Close()
		fmt.Fprint(buf, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n")
		_ = buf.Flush()
		line, _ := buf.ReadString('\n')
		_, _ = buf.WriteString("echo " + line)
		_ = buf.Flush()
	})), false)
	req, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, base+"/socket", nil)
	req.Header.Set("Connection", "Upgrade")
	req.Header.Set("Upgrade", "echo")
	resp, err := g.clientOf(plain, "").Do(req)
	if err != nil {
		t.Fatal(err)
	}
	conn, isWritable := resp.Body.(io.ReadWriteCloser)
	if resp.StatusCode != http.StatusSwitchingProtocols || !isWritable {
		t.Fatalf("status %d with a body of type %T", resp.StatusCode, resp.Body)
	}
	if _, err := io.WriteString(conn, "hello\n"); err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(conn); string(got) != "echo hello\n" || err != nil {
		t.Errorf("read %q, %v", got, err)
	}
	_ = conn.Close()
	wantSpan(t, g.server(), map[string]any{"http.response.status_code": int64(101), "error.type": nil})
	wantSpan(t, g.client(), map[string]any{"http.response.status_code": int64(101), "error.type": nil})
}

// TestInformational: 103 goes out when it is written, and is not the status.
func TestInformational(t *testing.T) {
	for proto, http2 := range protocols {
		t.Run(proto, func(t *testing.T) {
			g := newRig(t)
			base, plain := listen(t, g.served(handle("GET /", func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Link", "</app.css>; rel=preload")
				w.WriteHeader(http.StatusEarlyHints)
				w.WriteHeader(http.StatusAccepted)
			})), http2)
			hinted := ""
			ctx := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{
				Got1xxResponse: func(code int, h textproto.MIMEHeader) error {
					hinted = fmt.Sprint(code, " ", h.Get("Link"))
					return nil
				},
			})
			req, _ := http.NewRequestWithContext(ctx, http.MethodGet, base, nil)
			send(t, g.clientOf(plain, ""), req)
			if hinted != "103 </app.css>; rel=preload" {
				t.Errorf("got hint %q", hinted)
			}
			wantSpan(t, g.server(), map[string]any{"http.response.status_code": int64(202)})
		})
	}
}

// TestTrailers pass through, and so does their absence from the size.
func TestTrailers(t *testing.T) {
	for proto, http2 := range protocols {
		t.Run(proto, func(t *testing.T) {
			g := newRig(t)
			base, plain := listen(t, g.served(handle("GET /", func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Trailer", "X-Checksum")
				_, _ = io.WriteString(w, "body")
				w.Header().Set("X-Checksum", "abc")
			})), http2)
			resp := get(t, g.clientOf(plain, ""), base)
			if got := resp.Trailer.Get("X-Checksum"); got != "abc" || resp.text != "body" {
				t.Errorf("trailer %q after %q", got, resp.text)
			}
			wantLine(t, g.line(g.server()), map[string]any{"response_bytes": 4.0})
		})
	}
}

// TestHead: of a HEAD request's body nothing is sent.
func TestHead(t *testing.T) {
	for proto, http2 := range protocols {
		t.Run(proto, func(t *testing.T) {
			g := newRig(t)
			base, plain := listen(t, g.served(handle("GET /", func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Length", "4")
				_, _ = io.WriteString(w, "body")
			})), http2)
			req, _ := http.NewRequestWithContext(t.Context(), http.MethodHead, base, nil)
			if resp := send(t, g.clientOf(plain, ""), req); resp.ContentLength != 4 {
				t.Errorf("Content-Length %d, want 4", resp.ContentLength)
			}
			wantLine(t, g.line(g.server()), map[string]any{"http.request.method": "HEAD", "response_bytes": 0.0})
			wantLine(t, g.line(g.client()), map[string]any{"http.request.method": "HEAD", "response_bytes": 0.0})
		})
	}
}

// readerFrom sees whether io.Copy still finds the short way below the record.
type readerFrom struct {
	http.ResponseWriter
	used *bool
}

func (w readerFrom) ReadFrom(src io.Reader) (int64, error) {
	*w.used = true
	return w.ResponseWriter.(io.ReaderFrom).ReadFrom(src)
}

// TestFilesAreCounted: bytes that go out through sendfile count.
func TestFilesAreCounted(t *testing.T) {
	g := newRig(t)
	const size = 1 << 20
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, bytes.Repeat([]byte("x"), size), 0o600); err != nil {
		t.Fatal(err)
	}
	h, short := g.served(handle("GET /", func(w http.ResponseWriter, r *http.Request) { http.ServeFile(w, r, path) })), false
	base, plain := listen(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h.ServeHTTP(readerFrom{w, &short}, r)
	}), false)
	if resp := get(t, g.clientOf(plain, ""), base); len(resp.text) != size {
		t.Errorf("%d bytes arrived", len(resp.text))
	}
	if !short {
		t.Error("the file was copied through memory")
	}
	wantLine(t, g.line(g.server()), map[string]any{"response_bytes": float64(size)})
}

// TestSuperfluousWriteHeader: the first status counts.
func TestSuperfluousWriteHeader(t *testing.T) {
	g := newRig(t)
	base, plain := listen(t, g.served(handle("GET /", func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusTeapot)
		w.WriteHeader(http.StatusOK)
	})), false)
	if resp := get(t, g.clientOf(plain, ""), base); resp.StatusCode != http.StatusTeapot {
		t.Errorf("status %d", resp.StatusCode)
	}
	wantSpan(t, g.server(), map[string]any{"http.response.status_code": int64(418)})
}

// TestResponseController reaches the connection through the record.
func TestResponseController(t *testing.T) {
	for proto, http2 := range protocols {
		t.Run(proto, func(t *testing.T) {
			g := newRig(t)
			base, plain := listen(t, g.served(handle("POST /", func(w http.ResponseWriter, r *http.Request) {
				c := http.NewResponseController(w)
				in := time.Now().Add(time.Minute)
				if err := c.SetReadDeadline(in); err != nil {
					t.Error(err)
				}
				if err := c.SetWriteDeadline(in); err != nil {
					t.Error(err)
				}
				if err := c.EnableFullDuplex(); err != nil && !http2 {
					t.Error(err)
				}
				_, _ = io.Copy(w, r.Body)
			})), http2)
			req, _ := http.NewRequestWithContext(t.Context(), http.MethodPost, base, strings.NewReader("twice"))
			if resp := send(t, g.clientOf(plain, ""), req); resp.text != "twice" {
				t.Errorf("got %q", resp.text)
			}
		})
	}
}
