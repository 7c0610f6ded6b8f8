// SPDX-License-Identifier: Apache-2.0

package httpmw_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/fairlead-go/fairlead/httpmw"
	"github.com/fairlead-go/fairlead/resilience"
	"github.com/fairlead-go/fairlead/resilience/breaker"
)

// TestRefusalsLeaveTheBreakerClosed: a server that refuses a share of its requests
// answers, and is not to be left alone; one that answers 503 for no such reason is.
func TestRefusalsLeaveTheBreakerClosed(t *testing.T) {
	for name, tc := range map[string]struct {
		answer http.HandlerFunc
		want   resilience.State
	}{
		"shed": {func(w http.ResponseWriter, r *http.Request) {
			httpmw.WriteError(w, r, &resilience.RejectedError{Policy: resilience.PolicyShed, RetryAfter: time.Minute})
		}, resilience.StateClosed},
		"by a service behind it": {func(w http.ResponseWriter, r *http.Request) {
			httpmw.WriteError(w, r, &resilience.RejectedError{Policy: resilience.PolicyBreaker, Remote: true})
		}, resilience.StateClosed},
		"plain": {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusServiceUnavailable) }, resilience.StateOpen},
		"by nobody known": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set(httpmw.HeaderRejected, "whim")
			w.WriteHeader(http.StatusServiceUnavailable)
		}, resilience.StateOpen},
	} {
		t.Run(name, func(t *testing.T) {
			srv := httptest.NewServer(tc.answer)
			defer srv.Close()
			b, err := breaker.New("payment", breaker.WithMinCalls(20))
			if err != nil {
				t.Fatal(err)
			}
			client := &http.Client{Transport: httpmw.BreakerTransport(b)(srv.Client().Transport)}
			for range 20 {
				resp, err := client.Get(srv.URL)
				if err != nil {
					t.Fatal(err)
				}
				_ = resp.Body.Close()
			}
			if got := b.State(); got != tc.want {
				t.Errorf("%v, want %v", got, tc.want)
			}
		})
	}
}

// TestRejectedHeader: who asked for a page and not for a problem knows a refusal all
// the same.
func TestRejectedHeader(t *testing.T) {
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	r.Header.Set("Accept", "text/html")
	w := httptest.NewRecorder()
	httpmw.WriteError(w, r, &resilience.RejectedError{Policy: resilience.PolicyShed, Name: "secret", RetryAfter: 2 * time.Second})
	resp := w.Result()
	defer resp.Body.Close()
	err := httpmw.CheckResponse(resp)
	e, ok := errors.AsType[*resilience.RejectedError](err)
	if !ok || !errors.Is(err, resilience.ErrOverloaded) || !e.Remote || e.RetryAfter != 2*time.Second || e.Policy != resilience.PolicyShed {
		t.Errorf("%v (%+v), want a refusal by a load shedder, for 2 s", err, e)
	}
}
