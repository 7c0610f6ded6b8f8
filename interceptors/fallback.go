// SPDX-License-Identifier: Apache-2.0

package interceptors

import (
	"context"
	"errors"
	"fmt"
	"io"
	"reflect"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"

	"github.com/fairlead-go/fairlead/record"
	"github.com/fairlead-go/fairlead/resilience/fallback"
)

// Fallback returns the interceptors that reply with what f makes to calls that fail in a
// way that f stands in for. What a status means is said by [OutcomeOf] and by whose limit
// passed. It stands below [Record] and above everything else: it is asked once, when all
// else has failed.
//
// It is for calls of methods, full ones such as "/shop.Recommendations/List"; without any,
// for all calls whose reply is a T. Methods that there are not, or that reply with
// something else than a T, are a mistake that every call through these interceptors ends
// with, before it is sent: it shows with the first call, and not with the first outage.
//
// The reply is a copy of f's message: f may return the same one each time. Of a stream
// that failed before its first message was received, it is the first message, and the
// last: io.EOF follows. After the first message there is no stand-in: half of one answer
// and half of another are none.
//
// The calls that the reply is for are marked as degraded ([record.Degrade]), and the
// caller finds [KeyDegraded] in the trailer, if it asks for that. It panics if f is nil.
func Fallback[T proto.Message](f *fallback.Fallback[T], methods ...string) ClientInterceptor {
	if f == nil {
		panic("interceptors: Fallback: nil fallback")
	}
	i := &fallingBack[T]{fallback: f, methods: methods}
	for _, m := range methods {
		if wrong := checkMethod[T](m); wrong != "" {
			i.wrong = status.Errorf(codes.Internal, "interceptors: fallback %q: method %q: %s", f.Name(), m, wrong)
		}
	}
	return i
}

type fallingBack[T proto.Message] struct {
	fallback *fallback.Fallback[T]
	methods  []string // none: those whose reply is a T
	wrong    error    // what is wrong with one of them
}

// checkMethod says what is wrong with a method whose reply is to be a T, as far as that
// is known: of services that are no generated code nothing is.
func checkMethod[T proto.Message](full string) string {
	service, name, ok := strings.Cut(strings.TrimPrefix(full, "/"), "/")
	if full == "" || full[0] != '/' || !ok || service == "" || name == "" || strings.Contains(name, "/") {
		return "must be a full method, /package.Service/Method"
	}
	d, _ := protoregistry.GlobalFiles.FindDescriptorByName(protoreflect.FullName(service))
	s, ok := d.(protoreflect.ServiceDescriptor)
	if !ok {
		return ""
	}
	method := s.Methods().ByName(protoreflect.Name(name))
	if method == nil {
		return "must be one of the service's"
	}
	t := reflect.TypeFor[T]()
	if t.Kind() != reflect.Pointer { // proto.Message itself
		return ""
	}
	made := reflect.New(t.Elem()).Interface().(proto.Message).ProtoReflect().Descriptor()
	if made == nil || made == method.Output() { // there is none of a dynamic message
		return ""
	}
	return fmt.Sprintf("replies with %s: must be %s", method.Output().FullName(), made.FullName())
}

// covers reports whether calls of method may be replied to.
func (i *fallingBack[T]) covers(method string) bool {
	return len(i.methods) == 0 || slices.Contains(i.methods, method)
}

// UnaryClient returns the interceptor for unary calls made.
func (i *fallingBack[T]) UnaryClient() grpc.UnaryClientInterceptor {
	return func(ctx context.Context, method string, req, reply any, cc *grpc.ClientConn, invoke grpc.UnaryInvoker, opts ...grpc.CallOption) error {
		if i.wrong != nil {
			return i.wrong
		}
		err := invoke(ctx, method, req, reply, cc, opts...)
		if err == nil || !i.covers(method) {
			return err
		}
		if err = i.standIn(ctx, reply, err); err != nil {
			return err
		}
		for _, o := range opts {
			if t, ok := o.(grpc.TrailerCallOption); ok {
				*t.TrailerAddr = metadata.Join(*t.TrailerAddr, degradedTrailer)
			}
		}
		return nil
	}
}

// standIn makes m the reply to a call that failed with err, and returns nil, or returns
// an error if it does not stand in.
func (i *fallingBack[T]) standIn(ctx context.Context, m any, err error) error {
	to, ok := m.(T)
	if !ok && len(i.methods) > 0 {
		return fmt.Errorf("%w; interceptors: fallback %q: the reply is a %T: must be a %v", err, i.fallback.Name(), m, reflect.TypeFor[T]())
	}
	if !ok {
		return err
	}
	stand, degraded, failed := i.fallback.Apply(ctx, outcomeOf(ctx, err), err)
	if !degraded {
		return failed
	}
	if wrong := fill(to, stand); wrong != nil {
		return fmt.Errorf("%w; interceptors: fallback %q: %w", err, i.fallback.Name(), wrong)
	}
	record.Degrade(ctx, i.fallback.Name())
	return nil
}

// fill makes to a copy of from.
func fill(to, from proto.Message) error {
	if from == nil || !from.ProtoReflect().IsValid() {
		return errors.New("nil message")
	}
	if got, want := from.ProtoReflect().Descriptor(), to.ProtoReflect().Descriptor(); got != want {
		return fmt.Errorf("message %s: must be %s", got.FullName(), want.FullName())
	}
	proto.Reset(to)
	proto.Merge(to, from)
	return nil
}

// StreamClient returns the interceptor for streams opened.
func (i *fallingBack[T]) StreamClient() grpc.StreamClientInterceptor {
	return func(ctx context.Context, desc *grpc.StreamDesc, cc *grpc.ClientConn, method string, open grpc.Streamer, opts ...grpc.CallOption) (grpc.ClientStream, error) {
		if i.wrong != nil {
			return nil, i.wrong
		}
		if !i.covers(method) {
			return open(ctx, desc, cc, method, opts...)
		}
		s := &fallingStream[T]{policy: i, ctx: ctx}
		opts, s.onFinish = withoutOnFinish(opts)
		cs, err := open(ctx, desc, cc, method, append(opts, grpc.OnFinish(s.closed))...)
		if err != nil { // and whether that is to be stood in for, the message to receive will tell
			cs = &unopened{ctx: ctx, desc: desc, err: err}
			s.closed(err)
		}
		s.ClientStream = cs
		return s, nil
	}
}

// withoutOnFinish takes apart what is to be told of the end of the call.
func withoutOnFinish(opts []grpc.CallOption) (others []grpc.CallOption, told []func(error)) {
	others = make([]grpc.CallOption, 0, len(opts)+1)
	for _, o := range opts {
		if f, ok := o.(grpc.OnFinishCallOption); ok {
			told = append(told, f.OnFinish)
		} else {
			others = append(others, o)
		}
	}
	return others, told
}

// fallingStream is a client stream whose first message may be a stand-in.
type fallingStream[T proto.Message] struct {
	grpc.ClientStream
	policy   *fallingBack[T]
	ctx      context.Context //nolint:containedctx // the call's
	onFinish []func(error)

	decided  atomic.Bool // a message was received, or all is over
	degraded bool        // the message was a stand-in: nothing follows

	mu       sync.Mutex
	finished bool
	waiting  func() bool // ends the wait for the context's end; nil if nobody waits
}

// RecvMsg receives into m.
func (s *fallingStream[T]) RecvMsg(m any) error {
	if s.degraded {
		return io.EOF
	}
	err := s.ClientStream.RecvMsg(m)
	if s.decided.Load() {
		return err
	}
	if err != nil && !errors.Is(err, io.EOF) {
		if err = s.policy.standIn(s.ctx, m, err); err == nil {
			s.degraded = true
		}
		s.finish(err)
	}
	s.decided.Store(true)
	return err
}

// Trailer returns the trailer.
func (s *fallingStream[T]) Trailer() metadata.MD {
	if s.degraded {
		return metadata.Join(s.ClientStream.Trailer(), degradedTrailer)
	}
	return s.ClientStream.Trailer()
}

// closed is called when gRPC is done with the stream, on whatever goroutine. If it
// failed before a message was received, what becomes of it is not known before somebody
// receives that, or gives up by the call's context. Nobody stands in for a stream that
// was canceled, as by closing its connection.
func (s *fallingStream[T]) closed(err error) {
	if err == nil || s.decided.Load() || status.Code(err) == codes.Canceled {
		s.finish(err)
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.finished && s.waiting == nil {
		s.waiting = context.AfterFunc(s.ctx, func() { s.finish(err) })
	}
}

// finish tells once who is to know that the call is over.
func (s *fallingStream[T]) finish(err error) {
	s.mu.Lock()
	first := !s.finished
	s.finished = true
	if s.waiting != nil {
		s.waiting()
	}
	s.mu.Unlock()
	if first {
		for _, f := range s.onFinish {
			f(err)
		}
	}
}

// unopened is a stream that could not be opened: who sends learns no more than gRPC says
// of a stream that is over, and who receives learns why.
type unopened struct {
	ctx  context.Context //nolint:containedctx // the call's
	desc *grpc.StreamDesc
	err  error
}

// Header returns no header.
func (s *unopened) Header() (metadata.MD, error) { return nil, s.err }

// Trailer returns no trailer.
func (s *unopened) Trailer() metadata.MD { return nil }

// CloseSend does nothing.
func (s *unopened) CloseSend() error { return nil }

// Context returns the call's context.
func (s *unopened) Context() context.Context { return s.ctx }

// SendMsg sends nothing. Generated code returns what it says of a single request, and of
// others it says that RecvMsg has the status.
func (s *unopened) SendMsg(any) error {
	if s.desc.ClientStreams {
		return io.EOF
	}
	return nil
}

// RecvMsg returns why there is no stream.
func (s *unopened) RecvMsg(any) error { return s.err }
