// SPDX-License-Identifier: Apache-2.0

package interceptors

import (
	"context"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/fairlead-go/fairlead/resilience"
	"github.com/fairlead-go/fairlead/resilience/hedge"
	"github.com/fairlead-go/fairlead/resilience/retry"
)

// messageType returns the type of a reply, or nil if it is no protobuf message.
func messageType(reply any) protoreflect.MessageType {
	m, ok := reply.(proto.Message)
	if !ok {
		return nil
	}
	return m.ProtoReflect().Type()
}

// hedged makes a call that may have several attempts at a time. The first of them has
// the caller's reply, and the others have one each of that type.
func (c *unaryCall) hedged(ctx context.Context, kind protoreflect.MessageType) error {
	taken, s := hedge.Do(ctx, c.policies.Hedge, func(ctx context.Context, at retry.Attempt) (*unaryAttempt, retry.Result) {
		a := &unaryAttempt{reply: c.reply}
		if at.Number > 1 {
			a.reply = kind.New().Interface()
		}
		a.opts = a.instead(c.opts, c.recorder != nil)
		return a, c.send(ctx, a)
	}, nil)
	// No attempt is under way any more.
	if s.Outcome == resilience.OutcomeOK && taken.reply != c.reply {
		reply := c.reply.(proto.Message)
		proto.Reset(reply)
		proto.Merge(reply, taken.reply.(proto.Message))
	}
	taken.tell(c.opts)
	err := withStatus(s.Err)
	finished(c.opts, err)
	return err
}

// instead returns the caller's options with those replaced that tell of the answer:
// attempts must not write to the same place at the same time.
func (a *unaryAttempt) instead(opts []grpc.CallOption, recorded bool) []grpc.CallOption {
	to := make([]grpc.CallOption, 0, len(opts)+2)
	header, address := false, recorded
	for _, o := range opts {
		switch o.(type) {
		case grpc.HeaderCallOption:
			header = true
		case grpc.PeerCallOption:
			address = true
		case grpc.TrailerCallOption, grpc.OnFinishCallOption:
		default:
			to = append(to, o)
		}
	}
	if header {
		to = append(to, grpc.Header(&a.header))
	}
	return a.told(to, address)
}

// tell tells the caller what the attempt's answer said besides the reply.
func (a *unaryAttempt) tell(opts []grpc.CallOption) {
	for _, o := range opts {
		switch o := o.(type) {
		case grpc.HeaderCallOption:
			*o.HeaderAddr = a.header
		case grpc.TrailerCallOption:
			*o.TrailerAddr = a.trailer
		case grpc.PeerCallOption:
			*o.PeerAddr = a.peer
		}
	}
}
