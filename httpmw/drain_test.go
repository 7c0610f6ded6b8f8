// SPDX-License-Identifier: Apache-2.0

package httpmw_test

import (
	"context"
	"io"
	"net/http"
	"testing"
	"time"

	"github.com/fairlead-go/fairlead/ctxutil"
	"github.com/fairlead-go/fairlead/drain"
	"github.com/fairlead-go/fairlead/httpmw"
)

func TestDrain(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name   string
		handle func(w http.ResponseWriter, r *http.Request)
		status int
	}{
		{"ends by itself", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTeapot) }, http.StatusTeapot},
		{"takes the notice", func(w http.ResponseWriter, r *http.Request) {
			<-drain.Notice(r.Context())
			w.WriteHeader(http.StatusAccepted)
		}, http.StatusAccepted},
		{"ends with its context", func(_ http.ResponseWriter, r *http.Request) {
			<-r.Context().Done()
			if by := ctxutil.EndedBy(r.Context()); by != ctxutil.EndShutdown {
				t.Errorf("ended by %v", by)
			}
		}, http.StatusServiceUnavailable},
		{"answers when it is cut", func(w http.ResponseWriter, r *http.Request) {
			<-r.Context().Done()
			w.WriteHeader(http.StatusAccepted)
		}, http.StatusAccepted},
	} {
		for _, proto := range []string{"HTTP/1.1", "HTTP/2"} {
			t.Run(tc.name+"/"+proto, func(t *testing.T) {
				t.Parallel()
				d := drain.New()
				in := make(chan struct{})
				server, client := testTLS()
				opts := []httpmw.ServerOption{httpmw.WithBaseContext(d.Context()), httpmw.WithTLS(server)}
				copts := []httpmw.ClientOption{httpmw.WithTLS(client)}
				if proto == "HTTP/1.1" {
					opts = []httpmw.ServerOption{httpmw.WithBaseContext(d.Context()), httpmw.WithPlaintext()}
					copts = []httpmw.ClientOption{httpmw.WithPlaintext()}
				}
				addr := startServer(t, httpmw.Drain(d)(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					close(in)
					tc.handle(w, r)
				})), opts...)
				scheme := "https://"
				if proto == "HTTP/1.1" {
					scheme = "http://"
				}
				got := make(chan int, 1)
				c := newClient(t, copts...)
				go func() {
					code, _ := fetchText(t, c, scheme+addr+"/")
					got <- code
				}()
				<-in
				ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
				defer cancel()
				if r := d.Drain(ctx, nil, 10*time.Second); r.Stuck != 0 || d.Active() != 0 {
					t.Errorf("result %+v, %d active", r, d.Active())
				}
				if code := <-got; code != tc.status {
					t.Errorf("the caller got %d, want %d", code, tc.status)
				}
			})
		}
	}
}

// TestLeavingClosesConnections: a caller that goes on asking a server which
// leaves does not keep a connection to it, on which its next request would fail.
func TestLeavingClosesConnections(t *testing.T) {
	t.Parallel()
	d := drain.New()
	addr := startServer(t, httpmw.Drain(d)(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "served")
	})), httpmw.WithPlaintext())
	c := newClient(t, httpmw.WithPlaintext())
	closes := func() bool {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+addr, nil)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := c.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		return resp.Close
	}
	if closes() {
		t.Error("a connection was closed before")
	}
	d.Leave()
	if !closes() {
		t.Error("a connection was kept while the server leaves")
	}
}
