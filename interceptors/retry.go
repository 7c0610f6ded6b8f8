// SPDX-License-Identifier: Apache-2.0

package interceptors

import (
	"context"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"

	"github.com/fairlead-go/fairlead/record"
	"github.com/fairlead-go/fairlead/resilience/policies"
	"github.com/fairlead-go/fairlead/resilience/retry"
)

// UnaryClient returns the interceptor for unary calls made.
func (i *Policing) UnaryClient() grpc.UnaryClientInterceptor {
	return func(ctx context.Context, method string, req, reply any, cc *grpc.ClientConn, invoke grpc.UnaryInvoker, opts ...grpc.CallOption) error {
		p := i.of(method)
		if isNothing(p) && p.Hedge == nil && i.recorder == nil {
			return invoke(ctx, method, req, reply, cc, opts...)
		}
		c := &unaryCall{
			policies: p, recorder: i.recorder,
			method: method, req: req, reply: reply, cc: cc, invoke: invoke, opts: opts,
		}
		return c.make(ctx)
	}
}

// unaryCall is one unary call and, unless it is hedged, its attempts: all of it in one
// allocation.
type unaryCall struct {
	policies   *policies.Client
	recorder   *record.Recorder
	method     string
	req, reply any
	cc         *grpc.ClientConn
	invoke     grpc.UnaryInvoker
	opts       []grpc.CallOption // the caller's

	only unaryAttempt // one after the other
	room [8]grpc.CallOption
}

// unaryAttempt is one attempt of a unary call.
type unaryAttempt struct {
	attempt
	reply           any
	opts            []grpc.CallOption
	header, trailer metadata.MD
	peer            peer.Peer
	concluded       bool
}

// make makes the call, as often as it takes.
func (c *unaryCall) make(ctx context.Context) error {
	if c.policies.Hedge != nil {
		if kind := messageType(c.reply); kind != nil {
			return c.hedged(ctx, kind)
		}
	}
	c.only.reply = c.reply
	if c.policies.Retry == nil {
		c.only.opts = c.only.told(append(c.room[:0], c.opts...), c.recorder != nil)
		return withStatus(c.send(ctx, &c.only).Err)
	}
	c.only.opts = c.only.told(appendLasting(c.room[:0], c.opts), c.recorder != nil)
	err := withStatus(c.policies.Retry.Do(ctx, c.again).Err)
	finished(c.opts, err)
	return err
}

// again makes an attempt that is the first or follows another.
func (c *unaryCall) again(ctx context.Context, at retry.Attempt) retry.Result {
	a := &c.only
	if at.Number > 1 {
		reset(c.reply)
		forget(c.opts)
		*a = unaryAttempt{reply: a.reply, opts: a.opts}
	}
	return c.send(ctx, a)
}

// send makes one attempt.
func (c *unaryCall) send(ctx context.Context, a *unaryAttempt) retry.Result {
	defer a.abandoned()
	if err := a.admit(ctx, c.policies); err != nil {
		return a.result(err, nil) // what it got is given back unreported
	}
	err := c.invoke(a.start(c.recorder), c.method, c.req, a.reply, c.cc, a.opts...)
	err = reconstructed(err, c.cc.Target())
	res := a.result(err, a.trailer)
	a.sentTo(a.peer.Addr)
	a.over(err)
	a.report(res)
	a.concluded = true
	return res
}

// abandoned is deferred around an attempt. It gives back what the attempt holds if it
// was refused on its way, panicked, or ended its goroutine.
func (a *unaryAttempt) abandoned() {
	if !a.concluded {
		a.lease.Release()
		a.over(errPanic)
	}
}

// told returns opts, which it may write behind, with those by which an attempt is told
// what its answer says besides the reply.
func (a *unaryAttempt) told(opts []grpc.CallOption, recorded bool) []grpc.CallOption {
	opts = append(opts, grpc.Trailer(&a.trailer))
	if recorded {
		opts = append(opts, grpc.Peer(&a.peer))
	}
	return opts
}

// appendLasting appends opts without those that are about the call as a whole, which is
// over later than its attempts.
func appendLasting(to, opts []grpc.CallOption) []grpc.CallOption {
	for _, o := range opts {
		if _, ok := o.(grpc.OnFinishCallOption); !ok {
			to = append(to, o)
		}
	}
	return to
}

// finished tells those who asked for it that the call is over.
func finished(opts []grpc.CallOption, err error) {
	for _, o := range opts {
		if o, ok := o.(grpc.OnFinishCallOption); ok {
			o.OnFinish(err)
		}
	}
}

// forget makes the caller's options forget what they were told by an attempt before the
// next: that one may never reach a server, and then has nothing to tell.
func forget(opts []grpc.CallOption) {
	for _, o := range opts {
		switch o := o.(type) {
		case grpc.HeaderCallOption:
			*o.HeaderAddr = nil
		case grpc.TrailerCallOption:
			*o.TrailerAddr = nil
		case grpc.PeerCallOption:
			*o.PeerAddr = peer.Peer{}
		}
	}
}

// reset empties a message that an attempt may have left something in.
func reset(m any) {
	if r, ok := m.(interface{ Reset() }); ok { // every protobuf message, of whatever age
		r.Reset()
	}
}
