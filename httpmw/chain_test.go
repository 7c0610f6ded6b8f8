// SPDX-License-Identifier: Apache-2.0

package httpmw_test

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/fairlead-go/fairlead/httpmw"
)

type roundTripperFunc func(*http.Request) (*http.Response, error)

func (f roundTripperFunc) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func TestChainOrder(t *testing.T) {
	var got []string
	named := func(name string) httpmw.Middleware {
		return func(next http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				got = append(got, "+"+name)
				next.ServeHTTP(w, r)
				got = append(got, "-"+name)
			})
		}
	}
	h := http.HandlerFunc(func(http.ResponseWriter, *http.Request) { got = append(got, "handler") })
	httpmw.Chain(h, named("a"), named("b"), named("c")).
		ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "/", nil))
	want := []string{"+a", "+b", "+c", "handler", "-c", "-b", "-a"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("order (-want +got):\n%s", diff)
	}
}

func TestChainTransportOrder(t *testing.T) {
	var got []string
	named := func(name string) httpmw.Transport {
		return func(next http.RoundTripper) http.RoundTripper {
			return roundTripperFunc(func(r *http.Request) (*http.Response, error) {
				got = append(got, "+"+name)
				defer func() { got = append(got, "-"+name) }()
				return next.RoundTrip(r)
			})
		}
	}
	rt := roundTripperFunc(func(*http.Request) (*http.Response, error) {
		got = append(got, "send")
		return &http.Response{StatusCode: http.StatusOK, Body: http.NoBody}, nil
	})
	resp, err := httpmw.ChainTransport(rt, named("a"), named("b")).
		RoundTrip(httptest.NewRequest(http.MethodGet, "/", nil))
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	want := []string{"+a", "+b", "send", "-b", "-a"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("order (-want +got):\n%s", diff)
	}
}

func TestChainPanicsWhenBuilt(t *testing.T) {
	tests := []struct {
		name, want string
		build      func()
	}{
		{"nil handler", "httpmw: Chain: nil handler", func() { httpmw.Chain(nil) }},
		{"nil middleware", "httpmw: Chain: middleware 1 is nil", func() {
			httpmw.Chain(http.NotFoundHandler(), func(h http.Handler) http.Handler { return h }, nil)
		}},
		{"nil round tripper", "httpmw: ChainTransport: nil round tripper", func() { httpmw.ChainTransport(nil) }},
		{"nil transport", "httpmw: ChainTransport: transport 0 is nil", func() {
			httpmw.ChainTransport(roundTripperFunc(nil), nil)
		}},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			defer func() {
				if got := recover(); got != tc.want {
					t.Errorf("panic %v, want %q", got, tc.want)
				}
			}()
			tc.build()
		})
	}
}
