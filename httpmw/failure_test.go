// SPDX-License-Identifier: Apache-2.0

package httpmw_test

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/fairlead-go/fairlead/httpmw"
	"github.com/fairlead-go/fairlead/resilience"
)

// cutting is a server that takes a request and hangs up.
func cutting(t *testing.T) string {
	t.Helper()
	base, _ := listen(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		conn, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		_ = conn.Close()
	}), false)
	return base
}

// refused is the address of a server that is not there.
func refused(t *testing.T) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_ = ln.Close()
	return "http://" + ln.Addr().String()
}

// noDNS is a dialer to which no name is known.
func noDNS() *net.Dialer {
	return &net.Dialer{Resolver: &net.Resolver{PreferGo: true, Dial: func(context.Context, string, string) (net.Conn, error) {
		return nil, errors.New("no name server")
	}}}
}

// TestFailures: what error.type a request has to which there was no answer, for
// real errors of net/http.
func TestFailures(t *testing.T) {
	withTLS, _ := listen(t, http.HandlerFunc(ok), true)
	plain, _ := listen(t, http.HandlerFunc(ok), false)
	slow, _ := listen(t, http.HandlerFunc(untilDone), false)
	mutual, roots := mutualTLS(t)
	canceled, cancel := context.WithCancel(t.Context())
	cancel()
	for _, tc := range []struct {
		name      string
		ctx       context.Context
		url       string
		transport http.RoundTripper
		reason    string
		outcome   resilience.Outcome
	}{
		{name: "nobody listens", url: refused(t), transport: &http.Transport{},
			reason: "connection", outcome: resilience.OutcomeTransient},
		{name: "hung up", url: cutting(t), transport: &http.Transport{},
			reason: "connection", outcome: resilience.OutcomeTransient},
		{name: "unknown name", url: "http://nowhere.test", transport: &http.Transport{DialContext: noDNS().DialContext},
			reason: "dns", outcome: resilience.OutcomeTransient},
		{name: "unknown authority", url: withTLS, transport: &http.Transport{},
			reason: "tls", outcome: resilience.OutcomeTransient},
		{name: "plain HTTP where HTTPS is wanted", url: "https" + plain[len("http"):], transport: &http.Transport{},
			reason: "tls", outcome: resilience.OutcomeTransient},
		{name: "told off in the handshake", url: mutual, transport: &http.Transport{TLSClientConfig: roots},
			reason: "tls", outcome: resilience.OutcomeTransient},
		{name: "no header in time", url: slow, transport: &http.Transport{ResponseHeaderTimeout: 20 * time.Millisecond},
			reason: "timeout", outcome: resilience.OutcomeTimeout},
		{name: "canceled before it was sent", ctx: canceled, url: plain, transport: &http.Transport{},
			reason: "canceled", outcome: resilience.OutcomeCanceled},
		{name: "plaintext refused", url: plain, transport: newClient(t).Transport,
			reason: "rejected", outcome: resilience.OutcomeRejected},
		{name: "refused by a policy", url: plain, transport: fails(&resilience.RejectedError{Policy: resilience.PolicyBreaker, Name: "shop", Reason: "open"}),
			reason: "rejected", outcome: resilience.OutcomeRejected},
		{name: "refused by another service's policy", url: plain, transport: fails(&resilience.RejectedError{Policy: resilience.PolicyShed, Remote: true}),
			reason: "connection", outcome: resilience.OutcomeTransient},
	} {
		t.Run(tc.name, func(t *testing.T) {
			g := newRig(t)
			if tc.ctx == nil {
				tc.ctx = t.Context()
			}
			if c, ok := tc.transport.(interface{ CloseIdleConnections() }); ok {
				defer c.CloseIdleConnections()
			}
			req, _ := http.NewRequestWithContext(tc.ctx, http.MethodGet, tc.url, nil)
			resp, err := httpmw.RecordTransport(g.recorder, "")(tc.transport).RoundTrip(req)
			if err == nil || resp != nil {
				t.Fatalf("%v, %v; want an error alone", resp, err)
			}
			wantSpan(t, g.client(), map[string]any{"error.type": tc.reason, "http.response.status_code": nil, "network.protocol.version": nil})
			wantLine(t, g.line(g.client()), map[string]any{
				"error.type": tc.reason, "outcome": tc.outcome.String(), "error": err.Error(), "http.response.status_code": nil,
			})
		})
	}
}

func fails(err error) http.RoundTripper {
	return roundTripperFunc(func(*http.Request) (*http.Response, error) { return nil, err })
}

// mutualTLS serves those who have a certificate, which nobody has, and returns
// what a client needs to get as far as being told so.
func mutualTLS(t *testing.T) (string, *tls.Config) {
	t.Helper()
	server, client := testTLS()
	server, client = server.Clone(), client.Clone()
	server.ClientAuth = tls.RequireAnyClientCert
	client.MaxVersion = tls.VersionTLS12 // where it is an error of the handshake
	return "https://" + startServer(t, http.HandlerFunc(ok), httpmw.WithTLS(server)), client
}
