// SPDX-License-Identifier: Apache-2.0

package interceptors

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/protoadapt"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/fairlead-go/fairlead/record"
	"github.com/fairlead-go/fairlead/resilience"
	"github.com/fairlead-go/fairlead/resilience/retry"
)

// How refusals stand in the details of a status (google.rpc.ErrorInfo and
// google.rpc.RetryInfo, https://cloud.google.com/apis/design/errors#error_model).
const (
	// ErrorDomain is the ErrorInfo.domain of refusals.
	ErrorDomain = "fairlead"

	policyMember = "policy"
	reasonMember = "reason"
)

// Metadata keys of gRFC A6.
const (
	keyPushback         = "grpc-retry-pushback-ms"
	keyPreviousAttempts = "grpc-previous-rpc-attempts"
)

// maxReason bounds the reason that a peer is told, in bytes.
const maxReason = 64

// refusal is a refusal of this process as an error that gRPC understands.
type refusal struct{ *resilience.RejectedError }

// refused returns err with its status, if it is a refusal, and err itself if it
// is anything else, such as the end of a context while it waited.
func refused(err error) error {
	if e, ok := err.(*resilience.RejectedError); ok { //nolint:errorlint // as policies return it
		return &refusal{e}
	}
	return err
}

// GRPCStatus is what a peer sees of it.
func (e *refusal) GRPCStatus() *status.Status { return statusOfRejection(e.RejectedError) }

// Unwrap gives the policy's own error.
func (e *refusal) Unwrap() error { return e.RejectedError }

// refuse returns the error for a call served that a policy of kind p has not
// admitted, and tells the call's record and the peer of it. An error that is no
// refusal is one all the same, unless it is the end of ctx during a wait.
func refuse(ctx context.Context, p resilience.Policy, err error) error {
	e, ok := errors.AsType[*resilience.RejectedError](err)
	switch {
	case ok:
	case ctx.Err() != nil:
		return &endedError{err, ctx.Err()}
	default:
		e = &resilience.RejectedError{Policy: p, Err: err}
	}
	r := &refusal{e}
	if call := record.FromContext(ctx); call != nil && call.Kind() == record.RPCServer {
		call.NoteRefused() // and it tells the peer
	} else {
		tellPushback(ctx, r)
	}
	return r
}

// endedError is the end of a call's context while it waited to be admitted.
type endedError struct {
	error
	end error
}

// GRPCStatus is what a peer sees of it.
func (e *endedError) GRPCStatus() *status.Status { return status.FromContextError(e.end) }

// Unwrap gives the policy's own error.
func (e *endedError) Unwrap() error { return e.error }

// statusOfRejection returns the status that tells a peer of a refusal: which kind
// of policy refused, why in a word or two, and when to come back. Whose name the
// policy has is not the peer's business.
func statusOfRejection(e *resilience.RejectedError) *status.Status {
	st := baseOf(e)
	d := wholeMillis(e.RetryAfter)
	if d <= 0 {
		return st
	}
	return withDetails(st, &errdetails.RetryInfo{RetryDelay: durationpb.New(d)})
}

// maxBases bounds how many statuses are kept.
const maxBases = 100

// bases keeps the statuses of this process's refusals without the wait: who has too
// much to do is to refuse at little cost. The reasons that policies give are few.
var (
	bases     sync.Map // of baseKey to *status.Status
	basesKept atomic.Int32
)

type baseKey struct {
	policy resilience.Policy
	reason string
}

// baseOf returns the status of e without the wait.
func baseOf(e *resilience.RejectedError) *status.Status {
	key := baseKey{e.Policy, e.Reason}
	if st, ok := bases.Load(key); ok {
		return st.(*status.Status)
	}
	r := rejectionOf(e.Policy)
	info := &errdetails.ErrorInfo{Reason: r.reason, Domain: ErrorDomain, Metadata: map[string]string{}}
	if policy := safeText(string(e.Policy), ""); policy != "" {
		info.Metadata[policyMember] = policy
	}
	if reason := safeText(e.Reason, ""); reason != "" {
		info.Metadata[reasonMember] = reason
	}
	st := withDetails(status.New(r.code, r.message), info)
	if !e.Remote && basesKept.Load() < maxBases { // a peer's reason may be anything
		basesKept.Add(1)
		bases.Store(key, st)
	}
	return st
}

// withDetails returns st with one more detail, all of whose strings are ASCII, so
// that it cannot fail.
func withDetails(st *status.Status, detail protoadapt.MessageV1) *status.Status {
	if detailed, err := st.WithDetails(detail); err == nil {
		return detailed
	}
	return st
}

// remoteError is an error of a server that says which policy refused, there or
// further on.
type remoteError struct {
	err      error // as gRPC returned it
	rejected *resilience.RejectedError
}

// Error returns the text of gRPC's own error.
func (e *remoteError) Error() string { return e.err.Error() }

// GRPCStatus returns the status as it was received.
func (e *remoteError) GRPCStatus() *status.Status { return status.Convert(e.err) }

// Unwrap gives gRPC's own error, and the refusal.
func (e *remoteError) Unwrap() []error { return []error{e.err, e.rejected} }

// reconstructed returns err, which a call to target ended with, with the refusal
// that its status tells of. It returns err itself if there is none, or if that
// was done already.
func reconstructed(err error, target string) error {
	if err == nil {
		return nil
	}
	if _, ok := errors.AsType[*resilience.RejectedError](err); ok {
		return err
	}
	st, ok := status.FromError(err)
	if !ok {
		return err
	}
	e := rejectionFrom(st)
	if e == nil {
		return err
	}
	e.Name = target[strings.LastIndexByte(target, '/')+1:]
	return &remoteError{err: err, rejected: e}
}

// rejectionFrom returns the refusal that a peer's status tells of, or nil. All of
// it is the peer's word.
func rejectionFrom(st *status.Status) *resilience.RejectedError {
	var e *resilience.RejectedError
	details := st.Details()
	for _, detail := range details {
		if d, ok := detail.(*errdetails.ErrorInfo); ok && d.GetDomain() == ErrorDomain {
			e = rejectionNamed(d)
			break
		}
	}
	if e != nil {
		e.RetryAfter, _ = retryDelay(details)
	}
	return e
}

func rejectionNamed(d *errdetails.ErrorInfo) *resilience.RejectedError {
	for policy, r := range rejections {
		if r.reason == d.GetReason() {
			return &resilience.RejectedError{Policy: policy, Reason: safeText(d.GetMetadata()[reasonMember], r.message), Remote: true}
		}
	}
	return nil
}

// safeText returns s if it is fit to be sent and shown, short and printable ASCII,
// or else otherwise.
func safeText(s, otherwise string) string {
	if s == "" || len(s) > maxReason {
		return otherwise
	}
	for i := range len(s) {
		if s[i] < ' ' || s[i] > '~' {
			return otherwise
		}
	}
	return s
}

// retryDelay returns the wait that the first RetryInfo among details asks for, from 0
// to [retry.MaxRetryAfter], and false if there is none.
func retryDelay(details []any) (time.Duration, bool) {
	for _, detail := range details {
		if d, ok := detail.(*errdetails.RetryInfo); ok && d.GetRetryDelay() != nil {
			return min(max(d.GetRetryDelay().AsDuration(), 0), retry.MaxRetryAfter), true
		}
	}
	return 0, false
}

// pushbackOf returns what a server says of another attempt of a call that ended
// with err: by its trailer, as gRFC A6 has it, or by a RetryInfo.
func pushbackOf(trailer metadata.MD, err error) retry.Pushback {
	switch values := trailer[keyPushback]; len(values) {
	case 0:
	case 1:
		d, again, _ := retry.ParsePushback(values[0])
		if !again {
			return retry.PushbackStop()
		}
		return retry.PushbackAfter(d)
	default: // gRFC A6: as if it could not be read
		return retry.PushbackStop()
	}
	if st, ok := status.FromError(err); ok {
		if d, ok := retryDelay(st.Details()); ok {
			return retry.PushbackAfter(d)
		}
	}
	return retry.Pushback{}
}

// tellPushback puts into the trailer of the answer to ctx's call what the caller
// should know about another attempt, given that its answer is err: how long to
// wait, or not to retry what was retried here in vain. It is called once for an
// answer: several values would ask not to retry (gRFC A6).
func tellPushback(ctx context.Context, err error) {
	ms := ""
	if retry.DoNotRetry(err) {
		ms = "-1"
	} else if e, ok := errors.AsType[*resilience.RejectedError](err); ok && e.RetryAfter > 0 {
		ms = strconv.FormatInt(wholeMillis(e.RetryAfter).Milliseconds(), 10)
	}
	if ms != "" {
		_ = grpc.SetTrailer(ctx, metadata.Pairs(keyPushback, ms)) // fails only outside of a server
	}
}

// wholeMillis returns d as it is told to peers, at most [retry.MaxRetryAfter] and
// rounded up: who comes back too early is refused again.
func wholeMillis(d time.Duration) time.Duration {
	return (min(d, retry.MaxRetryAfter) + time.Millisecond - 1).Truncate(time.Millisecond)
}

// withPreviousAttempts returns ctx, that of a call served, with the number of
// attempts that were made before it.
func withPreviousAttempts(ctx context.Context) context.Context {
	v := last(metadata.ValueFromIncomingContext(ctx, keyPreviousAttempts))
	if v == "" {
		return ctx
	}
	n, err := strconv.ParseUint(v, 10, 31)
	if err != nil {
		return ctx
	}
	return retry.WithPreviousAttempts(ctx, int(n))
}
