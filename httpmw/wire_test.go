// SPDX-License-Identifier: Apache-2.0

package httpmw_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/fairlead-go/fairlead/testkit/telemetrytest"
)

// TestHostileHeadersOverTheWire: what net/http's parser lets through is never an
// error to the peer.
func TestHostileHeadersOverTheWire(t *testing.T) {
	for _, tc := range []struct{ name, header string }{
		{"bytes beyond ASCII", "traceparent: \xff\xfe\r\nuser-agent: \x80\x81\r\nx-trace-id: \xc3\x28"},
		{"long", "x-trace-id: " + strings.Repeat("a", 30<<10)},
		{"tabs", "x-request-id: a\tb"},
		{"twice", "traceparent: " + callers + "\r\ntraceparent: " + callers},
		{"unfinished", "traceparent: 00-" + callersTrace},
		{"baggage without end", "baggage: " + strings.Repeat("k=v,", 5000)},
		{"a deadline of nonsense", "x-request-timeout-ms: 10;DROP TABLE\r\ngrpc-timeout: 99999999999H"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			g := newRig(t)
			g.check = append(g.check, telemetrytest.External(callersTrace))
			base, _ := listen(t, g.limited(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "ok") }), false)
			conn, err := net.Dial("tcp", strings.TrimPrefix(base, "http://"))
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			fmt.Fprintf(conn, "GET /%%ff%%1b%%0a HTTP/1.1\r\nHost: a\r\nConnection: close\r\n%s\r\n\r\n", tc.header)
			resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			if resp.StatusCode != http.StatusOK {
				t.Errorf("answered %s", resp.Status)
			}
			server := g.server()
			if got := resp.Header.Get("X-Trace-Id"); got != server.TraceID() || got == callersTrace {
				t.Errorf("answered X-Trace-ID %q, the span has %s", got, server.TraceID())
			}
			wantSpan(t, server, map[string]any{"url.path": "/\uFFFD\x1b\n"})
		})
	}
}
