// SPDX-License-Identifier: Apache-2.0

package interceptors

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/protoadapt"
	"google.golang.org/protobuf/types/known/durationpb"

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

// maxReason bounds the reason that a peer gives, in bytes.
const maxReason = 64

// refusal is a refusal of this process as an error that gRPC understands.
type refusal struct {
	*resilience.RejectedError
	told bool // the answer's trailer says when to come back
}

// refused returns err with its status, if it is a refusal, and err itself if it
// is anything else, such as the end of a context while it waited.
func refused(err error) error {
	if e, ok := err.(*resilience.RejectedError); ok { //nolint:errorlint // as policies return it
		return &refusal{RejectedError: e}
	}
	return err
}

// GRPCStatus is what a peer sees of it.
func (e *refusal) GRPCStatus() *status.Status { return statusOfRejection(e.RejectedError) }

// Unwrap gives the policy's own error.
func (e *refusal) Unwrap() error { return e.RejectedError }

// statusOfRejection returns the status that tells a peer of a refusal: which kind
// of policy refused, why in a word or two, and when to come back. Whose name the
// policy has is not the peer's business.
func statusOfRejection(e *resilience.RejectedError) *status.Status {
	r := rejectionOf(e.Policy)
	st := status.New(r.code, r.message)
	info := &errdetails.ErrorInfo{
		Reason:   r.reason,
		Domain:   ErrorDomain,
		Metadata: map[string]string{policyMember: string(e.Policy)},
	}
	if e.Reason != "" {
		info.Metadata[reasonMember] = e.Reason
	}
	details := []protoadapt.MessageV1{info}
	if e.RetryAfter > 0 {
		details = append(details, &errdetails.RetryInfo{RetryDelay: durationpb.New(e.RetryAfter)})
	}
	if detailed, err := st.WithDetails(details...); err == nil { // invalid UTF-8 in a reason is the only way to fail
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
	if !ok || len(st.Proto().GetDetails()) == 0 {
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
	var after time.Duration
	for _, detail := range st.Details() {
		switch d := detail.(type) {
		case *errdetails.ErrorInfo:
			if d.GetDomain() == ErrorDomain && e == nil {
				e = rejectionNamed(d)
			}
		case *errdetails.RetryInfo:
			after = retryDelay(d)
		}
	}
	if e != nil {
		e.RetryAfter = after
	}
	return e
}

func rejectionNamed(d *errdetails.ErrorInfo) *resilience.RejectedError {
	for policy, r := range rejections {
		if r.reason == d.GetReason() {
			return &resilience.RejectedError{Policy: policy, Reason: safeReason(d.GetMetadata()[reasonMember], r.message), Remote: true}
		}
	}
	return nil
}

// safeReason returns a peer's reason if it is fit to be shown, or else otherwise.
func safeReason(s, otherwise string) string {
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

// retryDelay returns the wait that a RetryInfo asks for, from 0 to
// [retry.MaxRetryAfter].
func retryDelay(d *errdetails.RetryInfo) time.Duration {
	return min(max(d.GetRetryDelay().AsDuration(), 0), retry.MaxRetryAfter)
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
	st, ok := status.FromError(err)
	if !ok {
		return retry.Pushback{}
	}
	for _, detail := range st.Details() {
		if d, ok := detail.(*errdetails.RetryInfo); ok && d.GetRetryDelay() != nil {
			return retry.PushbackAfter(retryDelay(d))
		}
	}
	return retry.Pushback{}
}

// tellPushback puts into the trailer of the answer to ctx's call what the caller
// should know about another attempt, given that its answer is err: how long to
// wait, or not to retry what was retried here in vain.
func tellPushback(ctx context.Context, err error) {
	if e, ok := errors.AsType[*refusal](err); ok {
		if e.told {
			return
		}
		e.told = true
	}
	ms := ""
	if retry.DoNotRetry(err) {
		ms = "-1"
	} else if e, ok := errors.AsType[*resilience.RejectedError](err); ok && e.RetryAfter > 0 {
		ms = strconv.FormatInt(wholeMillis(e.RetryAfter), 10)
	}
	if ms != "" {
		_ = grpc.SetTrailer(ctx, metadata.Pairs(keyPushback, ms)) // fails only outside of a server
	}
}

// wholeMillis rounds up: who comes back too early is refused again.
func wholeMillis(d time.Duration) int64 {
	return int64((min(d, retry.MaxRetryAfter) + time.Millisecond - 1) / time.Millisecond)
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
