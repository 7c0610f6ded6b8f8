// SPDX-License-Identifier: Apache-2.0

package load

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"io"
	"net/http"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/emptypb"

	"github.com/fairlead-go/fairlead/examples/shop/internal/problem"
	"github.com/fairlead-go/fairlead/examples/shop/internal/reason"
	"github.com/fairlead-go/fairlead/httpmw"
)

const (
	// answerTimeout bounds every request of a customer.
	answerTimeout = 30 * time.Second
	// maxAnswer bounds what is read of an answer in bytes.
	maxAnswer = 1 << 20
)

// customer sends the requests of all customers. It is safe for concurrent use.
type customer struct {
	http    *http.Client
	gateway string
	order   *grpc.ClientConn
}

// newCustomer returns a customer with a connection pool of its own.
func newCustomer(cfg Config, conn *grpc.ClientConn) *customer {
	return &customer{
		http: &http.Client{
			Transport: &http.Transport{MaxIdleConnsPerHost: cfg.Concurrency, IdleConnTimeout: answerTimeout},
			Timeout:   answerTimeout,
		},
		gateway: cfg.Gateway,
		order:   conn,
	}
}

func (c *customer) close() error {
	c.http.CloseIdleConnections()
	return c.order.Close()
}

// send sends one request and says how it ended. The answer's body is returned
// for the few who read it.
func (c *customer) send(ctx context.Context, n int, method, path, body string) (r Result, answer string) {
	req, err := http.NewRequestWithContext(ctx, method, c.gateway+path, strings.NewReader(body))
	if err != nil {
		return Result{Outcome: NoAnswer}, ""
	}
	own := identify(req.Header, n)
	resp, err := c.http.Do(req)
	if err != nil {
		if ctx.Err() != nil {
			return Result{Outcome: Canceled}, ""
		}
		return Result{Outcome: NoAnswer}, ""
	}
	defer func() { _ = resp.Body.Close() }()

	r = Result{Outcome: outcomeOf(resp), TraceID: resp.Header.Get("X-Trace-ID")}
	text, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	switch {
	case ctx.Err() != nil:
		r.Outcome = Canceled
	case err != nil:
		r.Outcome = NoAnswer
	case !isTraceID(r.TraceID), own != "" && r.TraceID != own:
		r.Outcome = LostIdentity
	}
	return r, string(text)
}

// identify gives the n-th request an id as customers do: none, a trace id in
// either form, an id of their own, or an attempt to forge log lines. It returns
// the trace id that the answer must carry, or "" if any will do.
func identify(h http.Header, n int) (own string) {
	var id [16]byte
	_, _ = rand.Read(id[:]) // it never fails
	own = hex.EncodeToString(id[:])
	switch n % 5 {
	case 0:
		h.Set("X-Trace-ID", own)
		return own
	case 1:
		h.Set("X-Trace-ID", strings.ToUpper(own[:8]+"-"+own[8:12]+"-"+own[12:16]+"-"+own[16:20]+"-"+own[20:]))
		return own
	case 2:
		h.Set("X-Request-ID", "customer-"+own[:8])
	case 3:
		h.Set("X-Trace-ID", `%0d%0a","level":"ERROR","msg":"forged`)
	}
	return ""
}

// isTraceID reports whether s is 32 lower-case hex digits.
func isTraceID(s string) bool {
	return len(s) == 32 && strings.Trim(s, "0123456789abcdef") == ""
}

// outcomeOf reads an answer's status, and its reason if it has a problem.
func outcomeOf(resp *http.Response) Outcome {
	why := problem.Reason(httpmw.CheckResponse(resp))
	switch code := resp.StatusCode; {
	case code < 300 && resp.Header.Get("X-Degraded") != "":
		return Degraded
	case code < 300:
		return OK
	case code == http.StatusPaymentRequired:
		return Declined
	case code == http.StatusConflict && why == reason.OutOfStock:
		return OutOfStock
	case code == http.StatusServiceUnavailable, code == http.StatusTooManyRequests:
		return Unavailable
	case code == http.StatusGatewayTimeout:
		return Deadline
	case code == http.StatusNotFound && why == "":
		return UnknownPath
	case code >= 500:
		return ServerFault
	default:
		return ClientFault
	}
}

// call calls a method of the order service, past the gateway, with an empty message.
func (c *customer) call(ctx context.Context, method string) Result {
	var in, out emptypb.Empty
	err := c.order.Invoke(ctx, method, &in, &out)
	switch status.Code(err) {
	case codes.OK:
		return Result{Outcome: OK}
	case codes.Unimplemented:
		return Result{Outcome: UnknownMethod}
	case codes.Unavailable:
		return Result{Outcome: Unavailable}
	default:
		return Result{Outcome: ServerFault}
	}
}
