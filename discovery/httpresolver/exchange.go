// SPDX-License-Identifier: Apache-2.0

package httpresolver

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"sync/atomic"
	"time"

	"github.com/fairlead-go/fairlead/discovery/balancer"
)

// exchange is a request to one instance and the response to it, as whose body it ends
// the pick.
type exchange struct {
	io.ReadCloser // of the response
	ctx           context.Context
	pick          balancer.Pick
	over          atomic.Bool
	stage         atomic.Int32
	result        balancer.Result
	retryAfter    time.Duration
	trace         httptrace.ClientTrace
}

// How far a request has come. The pool sends again by itself what the server cannot have
// seen: then it begins from the start.
const (
	stageUnknown    int32 = iota // the transport does not say
	stageConnecting              // there is no connection, so nothing was sent
	stageConnected
)

// send sends a request to the endpoint of a pick, which it ends. It reports false if there
// was no connection, and the request can be sent to another.
func (r *Resolver) send(next http.RoundTripper, req *http.Request, body io.ReadCloser, pick balancer.Pick, try int) (resp *http.Response, connected bool, err error) {
	x := &exchange{ctx: req.Context(), pick: pick}
	x.trace.GetConn = func(string) { x.stage.Store(stageConnecting) }
	x.trace.GotConn = func(httptrace.GotConnInfo) { x.stage.Store(stageConnected) }

	in := pick.Endpoint().Instance()
	sent := req.WithContext(httptrace.WithClientTrace(x.ctx, &x.trace))
	u := *req.URL
	u.Host = in.Address
	sent.URL, sent.Body = &u, body
	if sent.Host == "" {
		sent.Host = req.URL.Host
	}
	if f := r.observer.Picked; f != nil {
		f(x.ctx, Picked{in, try})
	}
	start := time.Now()
	returned := false
	defer func() {
		if !returned { // a panic, which goes on, or runtime.Goexit
			x.finish(balancer.Ignored)
		}
	}()
	resp, err = next.RoundTrip(sent)
	returned = true
	if err != nil {
		result := r.failure(x, err, time.Since(start))
		x.finish(result)
		return nil, result != balancer.Unreachable, err
	}
	resp.Request = req
	x.pick.Answered()
	x.result = r.classify(resp)
	if x.result == balancer.Overload {
		x.retryAfter = retryAfter(resp.Header, time.Now())
	}
	x.watch(resp)
	return resp, true, nil
}

// failure returns what it says about the instance that there is no response.
func (r *Resolver) failure(x *exchange, err error, took time.Duration) balancer.Result {
	switch ended := x.ctx.Err(); {
	case errors.Is(ended, context.DeadlineExceeded) && took >= r.patience:
		return balancer.Failed
	case ended != nil:
		return balancer.Ignored
	}
	switch stage := x.stage.Load(); {
	case stage == stageConnecting, stage == stageUnknown && isDial(err):
		return balancer.Unreachable
	default:
		return balancer.Failed
	}
}

func isDial(err error) bool {
	e, ok := errors.AsType[*net.OpError](err)
	return ok && e.Op == "dial"
}

// watch ends the pick when the response's body is over.
func (x *exchange) watch(resp *http.Response) {
	if resp.Body == nil || resp.Body == http.NoBody {
		x.finish(x.result)
		return
	}
	x.ReadCloser = resp.Body
	if w, ok := resp.Body.(io.Writer); ok { // 101 Switching Protocols
		resp.Body = &upgraded{x, w}
		return
	}
	resp.Body = x
}

// Read reads from the response's body.
func (x *exchange) Read(p []byte) (int, error) {
	n, err := x.ReadCloser.Read(p)
	switch {
	case err == nil:
	case err == io.EOF:
		x.finish(x.result)
	case x.ctx.Err() != nil:
		x.finish(balancer.Ignored) // it did answer, and the caller did not want all of it
	default:
		x.finish(balancer.Failed)
	}
	return n, err
}

// Close closes the response's body.
func (x *exchange) Close() error {
	err := x.ReadCloser.Close()
	x.finish(x.result)
	return err
}

// finish ends the pick, once.
func (x *exchange) finish(result balancer.Result) {
	switch {
	case x.over.Swap(true):
	case result == balancer.Overload:
		x.pick.Overloaded(x.retryAfter)
	default:
		x.pick.Done(result)
	}
}

// upgraded is the body of a connection that switched protocols.
type upgraded struct {
	*exchange
	io.Writer
}
