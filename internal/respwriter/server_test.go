// SPDX-License-Identifier: Apache-2.0

package respwriter_test

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"net/textproto"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fairlead-go/fairlead/internal/respwriter"
)

// discardLog takes the complaints of net/http that some tests provoke.
var discardLog = log.New(io.Discard, "", 0)

// serve starts a real server whose handler answers through a Writer; after each
// request what the Writer remembers goes to the channel.
func serve(t *testing.T, http2 bool, h http.HandlerFunc) (*httptest.Server, <-chan seen) {
	t.Helper()
	after := make(chan seen, 8)
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		var w respwriter.Writer
		w.Init(rw)
		defer func() { after <- look(&w) }()
		h(&w, r)
	}))
	srv.Config.ErrorLog = discardLog
	srv.EnableHTTP2 = http2
	if http2 {
		srv.StartTLS()
	} else {
		srv.Start()
	}
	t.Cleanup(srv.Close)
	return srv, after
}

// both runs a test over HTTP/1.1 and over HTTP/2.
func both(t *testing.T, f func(t *testing.T, http2 bool)) {
	t.Run("HTTP/1.1", func(t *testing.T) { f(t, false) })
	t.Run("HTTP/2", func(t *testing.T) { f(t, true) })
}

func get(t *testing.T, srv *httptest.Server, header http.Header) (*http.Response, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, srv.URL, nil)
	if err != nil {
		t.Fatal(err)
	}
	if header != nil {
		req.Header = header
	}
	resp, err := srv.Client().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp, string(body)
}

func expect(t *testing.T, after <-chan seen, want seen) {
	t.Helper()
	if got := <-after; got != want {
		t.Errorf("remembered %+v, want %+v", got, want)
	}
}

func tempFile(t *testing.T, size int) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "file.bin")
	if err := os.WriteFile(name, bytes.Repeat([]byte("0123456789"), size/10), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

func TestServerSentEvents(t *testing.T) {
	both(t, func(t *testing.T, http2 bool) {
		more := make(chan struct{})
		srv, after := serve(t, http2, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/event-stream")
			for i := range 3 {
				_, _ = fmt.Fprintf(w, "data: %d\n\n", i)
				if i == 1 {
					w.(http.Flusher).Flush()
				} else if err := http.NewResponseController(w).Flush(); err != nil {
					t.Errorf("Flush: %v", err)
				}
				<-more // the event has arrived while the handler still runs
			}
		})
		resp, err := srv.Client().Get(srv.URL)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		r := bufio.NewReader(resp.Body)
		for i := range 3 {
			line, err := r.ReadString('\n')
			if want := fmt.Sprintf("data: %d\n", i); line != want || err != nil {
				t.Fatalf("event %d: got %q, %v; want %q", i, line, err, want)
			}
			_, _ = r.ReadString('\n')
			more <- struct{}{}
		}
		expect(t, after, seen{Status: 200, Bytes: 27, Wrote: true})
	})
}

func TestUpgradeEcho(t *testing.T) {
	ways := map[string]func(w http.ResponseWriter) (net.Conn, *bufio.ReadWriter, error){
		// The way of WebSocket libraries older than ResponseController.
		"assertion": func(w http.ResponseWriter) (net.Conn, *bufio.ReadWriter, error) { return w.(http.Hijacker).Hijack() },
		"controller": func(w http.ResponseWriter) (net.Conn, *bufio.ReadWriter, error) {
			return http.NewResponseController(w).Hijack()
		},
	}
	for name, hijack := range ways {
		t.Run(name, func(t *testing.T) {
			srv, after := serve(t, false, func(w http.ResponseWriter, _ *http.Request) {
				conn, buf, err := hijack(w)
				if err != nil {
					t.Errorf("Hijack: %v", err)
					return
				}
				defer conn.Close()
				_, _ = buf.WriteString("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n")
				_ = buf.Flush()
				line, _ := buf.ReadString('\n')
				_, _ = buf.WriteString("echo " + line)
				_ = buf.Flush()
				if _, err := w.Write([]byte("late")); !errors.Is(err, http.ErrHijacked) {
					t.Errorf("Write after Hijack: %v, want ErrHijacked", err)
				}
			})
			req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, srv.URL, nil)
			if err != nil {
				t.Fatal(err)
			}
			req.Header.Set("Connection", "Upgrade")
			req.Header.Set("Upgrade", "echo")
			resp, err := srv.Client().Do(req)
			if err != nil {
				t.Fatal(err)
			}
			conn := resp.Body.(io.ReadWriteCloser)
			defer conn.Close()
			if _, err := io.WriteString(conn, "hello\n"); err != nil {
				t.Fatal(err)
			}
			if got, err := bufio.NewReader(conn).ReadString('\n'); got != "echo hello\n" {
				t.Errorf("got %q, %v; want the echo", got, err)
			}
			expect(t, after, seen{Status: 101, Wrote: true, Hijacked: true})
		})
	}
}

func TestNoHijackOverHTTP2(t *testing.T) {
	srv, after := serve(t, true, func(w http.ResponseWriter, _ *http.Request) {
		_, _, err := w.(http.Hijacker).Hijack()
		if !errors.Is(err, http.ErrNotSupported) {
			t.Errorf("Hijack: %v, want ErrNotSupported", err)
		}
		http.Error(w, "no", http.StatusNotImplemented)
	})
	resp, _ := get(t, srv, nil)
	if resp.StatusCode != http.StatusNotImplemented || resp.ProtoMajor != 2 {
		t.Errorf("got %s %s, want HTTP/2.0 501", resp.Proto, resp.Status)
	}
	expect(t, after, seen{Status: 501, Bytes: 3, Wrote: true})
}

func TestSendfile(t *testing.T) {
	name := tempFile(t, 1_000_000)
	both(t, func(t *testing.T, http2 bool) {
		srv, after := serve(t, http2, func(w http.ResponseWriter, _ *http.Request) {
			f, err := os.Open(name)
			if err != nil {
				t.Error(err)
				return
			}
			defer f.Close()
			if _, err := w.(io.ReaderFrom).ReadFrom(f); err != nil {
				t.Errorf("ReadFrom: %v", err)
			}
		})
		if _, body := get(t, srv, nil); len(body) != 1_000_000 {
			t.Errorf("got %d bytes, want 1000000", len(body))
		}
		expect(t, after, seen{Status: 200, Bytes: 1_000_000, Wrote: true})
	})
}

// net/http reaches sendfile only if ReadFrom of its own writer is handed the
// file (or a limit on it).
func TestSendfileSource(t *testing.T) {
	f, err := os.Open(tempFile(t, 1000))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	below := &readerFrom{ResponseRecorder: httptest.NewRecorder()}
	var w respwriter.Writer
	w.Init(below)
	http.ServeContent(&w, httptest.NewRequest(http.MethodGet, "/", nil), "file.bin", time.Time{}, f)
	limited, ok := below.src.(*io.LimitedReader)
	if !ok || limited.R != f {
		t.Fatalf("the writer below was handed %T, want a limit on the file itself", below.src)
	}
	if got, want := look(&w), (seen{Status: 200, Bytes: 1000, Wrote: true}); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

func TestServeContentRanges(t *testing.T) {
	name := tempFile(t, 1000)
	both(t, func(t *testing.T, http2 bool) {
		srv, after := serve(t, http2, func(w http.ResponseWriter, r *http.Request) { http.ServeFile(w, r, name) })
		tests := []struct {
			rng, body string
			want      seen
		}{
			{"bytes=10-14", "01234", seen{Status: 206, Bytes: 5, Wrote: true}},
			{"bytes=-3", "789", seen{Status: 206, Bytes: 3, Wrote: true}},
			{"bytes=5000-", "invalid range: failed to overlap\n", seen{Status: 416, Bytes: 33, Wrote: true}},
		}
		for _, tc := range tests {
			resp, body := get(t, srv, http.Header{"Range": {tc.rng}})
			if resp.StatusCode != tc.want.Status || body != tc.body {
				t.Errorf("%s: got %d %q, want %d %q", tc.rng, resp.StatusCode, body, tc.want.Status, tc.body)
			}
			expect(t, after, tc.want)
		}
		_, body := get(t, srv, http.Header{"Range": {"bytes=0-1,10-11"}})
		expect(t, after, seen{Status: 206, Bytes: int64(len(body)), Wrote: true})
	})
}

func TestTrailers(t *testing.T) {
	both(t, func(t *testing.T, http2 bool) {
		srv, after := serve(t, http2, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Trailer", "Announced")
			_, _ = io.WriteString(w, "body")
			w.Header().Set("Announced", "1")
			w.Header().Set(http.TrailerPrefix+"Sudden", "2")
		})
		resp, _ := get(t, srv, nil)
		if a, s := resp.Trailer.Get("Announced"), resp.Trailer.Get("Sudden"); a != "1" || s != "2" {
			t.Errorf("trailers %v, want Announced: 1 and Sudden: 2", resp.Trailer)
		}
		expect(t, after, seen{Status: 200, Bytes: 4, Wrote: true})
	})
}

func TestEarlyHints(t *testing.T) {
	both(t, func(t *testing.T, http2 bool) {
		srv, after := serve(t, http2, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Link", "</style.css>; rel=preload")
			w.WriteHeader(http.StatusEarlyHints)
			w.WriteHeader(http.StatusEarlyHints)
			w.WriteHeader(http.StatusCreated)
		})
		var hints []int
		ctx := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{
			Got1xxResponse: func(code int, _ textproto.MIMEHeader) error {
				hints = append(hints, code)
				return nil
			},
		})
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, srv.URL, nil)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := srv.Client().Do(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if !slices.Equal(hints, []int{103, 103}) || resp.StatusCode != 201 {
			t.Errorf("got hints %v and status %d, want [103 103] and 201", hints, resp.StatusCode)
		}
		expect(t, after, seen{Status: 201, Wrote: true})
	})
}

func TestAbortHandler(t *testing.T) {
	both(t, func(t *testing.T, http2 bool) {
		srv, after := serve(t, http2, func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, "half")
			w.(http.Flusher).Flush()
			panic(http.ErrAbortHandler)
		})
		resp, err := srv.Client().Get(srv.URL)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		if body, err := io.ReadAll(resp.Body); string(body) != "half" || err == nil {
			t.Errorf("got %q, %v; want the half and an error", body, err)
		}
		expect(t, after, seen{Status: 200, Bytes: 4, Wrote: true})
	})
}

func TestControllerDeadlines(t *testing.T) {
	both(t, func(t *testing.T, http2 bool) {
		srv, after := serve(t, http2, func(w http.ResponseWriter, r *http.Request) {
			rc := http.NewResponseController(w)
			if err := rc.SetWriteDeadline(time.Now().Add(time.Minute)); err != nil {
				t.Errorf("SetWriteDeadline: %v", err)
			}
			if err := rc.EnableFullDuplex(); err != nil {
				t.Errorf("EnableFullDuplex: %v", err)
			}
			if err := rc.SetReadDeadline(time.Now().Add(-time.Second)); err != nil {
				t.Errorf("SetReadDeadline: %v", err)
			}
			if _, err := io.ReadAll(r.Body); !errors.Is(err, os.ErrDeadlineExceeded) {
				t.Errorf("reading past the deadline: %v, want ErrDeadlineExceeded", err)
			}
			w.WriteHeader(http.StatusRequestTimeout)
		})
		body, feed := io.Pipe()
		defer feed.Close()
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, srv.URL, body)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := srv.Client().Do(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != http.StatusRequestTimeout {
			t.Errorf("got %s, want 408", resp.Status)
		}
		expect(t, after, seen{Status: 408, Wrote: true})
	})
}

func TestContentLengthExceeded(t *testing.T) {
	srv, after := serve(t, false, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "3")
		if _, err := io.WriteString(w, strings.Repeat("a", 5)); !errors.Is(err, http.ErrContentLength) {
			t.Errorf("Write: %v, want ErrContentLength", err)
		}
		_, _ = io.WriteString(w, "abc")
	})
	resp, err := srv.Client().Get(srv.URL)
	if err == nil {
		resp.Body.Close()
	}
	expect(t, after, seen{Status: 200, Wrote: true}) // net/http takes no byte once it was too many
}
