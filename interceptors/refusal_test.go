// SPDX-License-Identifier: Apache-2.0

package interceptors_test

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/sony/gobreaker/v2"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	testgrpc "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/protoadapt"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/fairlead-go/fairlead/ctxutil"
	"github.com/fairlead-go/fairlead/interceptors"
	"github.com/fairlead-go/fairlead/resilience"
	"github.com/fairlead-go/fairlead/resilience/retry"
)

// wireRows is how a refusal by each policy travels.
var wireRows = []struct {
	policy  resilience.Policy
	code    codes.Code
	message string
	reason  string // of the ErrorInfo
	matches error  // on the far side
}{
	{resilience.PolicyBreaker, codes.Unavailable, "circuit breaker open", "BREAKER_OPEN", gobreaker.ErrOpenState},
	{resilience.PolicyRateLimit, codes.ResourceExhausted, "rate limited", "RATE_LIMITED", resilience.ErrRateLimited},
	{resilience.PolicyConcurrency, codes.ResourceExhausted, "too many calls at once", "CONCURRENCY_LIMITED", resilience.ErrOverloaded},
	{resilience.PolicyBulkhead, codes.Unavailable, "bulkhead full", "BULKHEAD_FULL", resilience.ErrOverloaded},
	{resilience.PolicyShed, codes.Unavailable, "overloaded", "OVERLOADED", resilience.ErrOverloaded},
	{resilience.PolicyDeadline, codes.DeadlineExceeded, "deadline budget exhausted", "DEADLINE_BUDGET_EXHAUSTED", ctxutil.ErrBudgetExhausted},
	{resilience.PolicyDiscovery, codes.Unavailable, "no endpoints", "NO_ENDPOINTS", resilience.ErrNoEndpoints},
}

// sentinels are all that a refusal can match.
var sentinels = []error{
	gobreaker.ErrOpenState, resilience.ErrRateLimited, resilience.ErrOverloaded, ctxutil.ErrBudgetExhausted, resilience.ErrNoEndpoints,
}

// wire is all that a peer is told by an error and a trailer, but for the ids.
func wire(err error, trailer metadata.MD) string {
	st := status.Convert(err)
	out := fmt.Sprintf("%v %q", st.Code(), st.Message())
	for _, d := range st.Details() {
		switch d := d.(type) {
		case *errdetails.ErrorInfo:
			out += fmt.Sprintf(" %s/%s %v", d.GetDomain(), d.GetReason(), d.GetMetadata())
		case *errdetails.RetryInfo:
			out += fmt.Sprintf(" after %v", d.GetRetryDelay().AsDuration())
		default:
			out += fmt.Sprintf(" %T", d)
		}
	}
	for k, v := range trailer {
		if k != "x-trace-id" && k != "content-type" && k != "grpc-status-details-bin" {
			out += fmt.Sprintf(" %s %q", k, v)
		}
	}
	return out
}

// TestRefusalOnTheWire: what a peer gets of a refusal that a handler returns, to the
// letter, whatever the handler wrapped it in.
func TestRefusalOnTheWire(t *testing.T) {
	const internal = "10.0.0.7:5432"
	wrap := map[string]func(error) error{
		"as it is": func(err error) error { return err },
		"wrapped":  func(err error) error { return fmt.Errorf("charging at %s: %w", internal, err) },
		"joined":   func(err error) error { return errors.Join(errors.New(internal), err) },
		"twice":    func(err error) error { return fmt.Errorf("%s: %w", internal, fmt.Errorf("%s: %w", internal, err)) },
	}
	for _, row := range wireRows {
		for how, wrap := range wrap {
			for _, kind := range callKinds {
				t.Run(fmt.Sprintf("%s/%s/%s", row.policy, how, kind.name), func(t *testing.T) {
					tel := newTelemetry(t, sdktrace.AlwaysSample())
					cc := serve(t, &service{handle: func(context.Context) error {
						return wrap(&resilience.RejectedError{
							Policy: row.policy, Name: internal, Reason: "so it is", RetryAfter: 1500*time.Millisecond + 1, Err: errors.New(internal),
						})
					}}, interceptors.ServerOptions(interceptors.Record(tel.recorder)), nil)
					var trailer metadata.MD
					err := kind.call(t.Context(), testgrpc.NewTestServiceClient(cc), grpc.Trailer(&trailer))
					got := wire(err, trailer)
					want := fmt.Sprintf(`%v %q fairlead/%s map[policy:%s reason:so it is] after 1.501s grpc-retry-pushback-ms ["1501"]`,
						row.code, row.message, row.reason, row.policy)
					if got != want {
						t.Errorf("the peer got  %s\nwant          %s", got, want)
					}
					if all := fmt.Sprint(status.Convert(err).Proto(), trailer); strings.Contains(all, "10.0.0.7") {
						t.Errorf("the peer learns of what is inside: %s", all)
					}
				})
			}
		}
	}
}

// TestPushbackOnTheWire: how long to wait, or not to come back.
func TestPushbackOnTheWire(t *testing.T) {
	rejected := func(after time.Duration) error {
		return &resilience.RejectedError{Policy: resilience.PolicyShed, RetryAfter: after}
	}
	inVain := func(reason string, last error) error {
		return &resilience.AttemptsError{Attempts: 3, Reason: reason, Last: last}
	}
	const shed = `Unavailable "overloaded" fairlead/OVERLOADED map[policy:shed]`
	for _, tc := range []struct {
		name string
		err  error
		want string
	}{
		{"nothing known", rejected(0), shed},
		{"no time at all", rejected(-time.Second), shed},
		{"rounded up", rejected(1), shed + ` after 1ms grpc-retry-pushback-ms ["1"]`},
		{"whole", rejected(2 * time.Second), shed + ` after 2s grpc-retry-pushback-ms ["2000"]`},
		{"bounded", rejected(math.MaxInt64), shed + ` after 24h0m0s grpc-retry-pushback-ms ["86400000"]`},
		{"retried in vain", inVain(retry.ReasonExhausted, status.Error(codes.Unavailable, "down")), `Unavailable "down" grpc-retry-pushback-ms ["-1"]`},
		{"retried in vain, refused", inVain(retry.ReasonBudget, rejected(time.Second)), shed + ` after 1s grpc-retry-pushback-ms ["-1"]`},
		{"retried in vain, wrapped", fmt.Errorf("x: %w", inVain(retry.ReasonPushback, rejected(0))), shed + ` grpc-retry-pushback-ms ["-1"]`},
		{"not retried, because the caller does", inVain(retry.ReasonNested, rejected(time.Second)), shed + ` after 1s grpc-retry-pushback-ms ["1000"]`},
		{"not retried, for want of time", inVain(retry.ReasonDeadline, status.Error(codes.Unavailable, "down")), `Unavailable "down"`},
		{"an error of a handler", status.Error(codes.Unavailable, "down"), `Unavailable "down"`},
	} {
		for _, kind := range callKinds {
			t.Run(tc.name+"/"+kind.name, func(t *testing.T) {
				tel := newTelemetry(t, sdktrace.AlwaysSample())
				cc := serve(t, &service{handle: func(context.Context) error { return tc.err }},
					interceptors.ServerOptions(interceptors.Record(tel.recorder)), nil)
				var trailer metadata.MD
				err := kind.call(t.Context(), testgrpc.NewTestServiceClient(cc), grpc.Trailer(&trailer))
				if got := wire(err, trailer); got != tc.want {
					t.Errorf("the peer got  %s\nwant          %s", got, tc.want)
				}
			})
		}
	}
}

// TestOnlySafeWordsTravel: what an odd policy says does not keep the rest from the
// peer, and is not repeated.
func TestOnlySafeWordsTravel(t *testing.T) {
	for _, tc := range []struct {
		name   string
		policy resilience.Policy
		reason string
		want   string
	}{
		{"invalid UTF-8", resilience.PolicyShed, "a\xff", `Unavailable "overloaded" fairlead/OVERLOADED map[policy:shed]`},
		{"lines", resilience.PolicyShed, "a\nb", `Unavailable "overloaded" fairlead/OVERLOADED map[policy:shed]`},
		{"long", resilience.PolicyShed, strings.Repeat("a", 65), `Unavailable "overloaded" fairlead/OVERLOADED map[policy:shed]`},
		{"as long as may be", resilience.PolicyShed, strings.Repeat("a", 64), `Unavailable "overloaded" fairlead/OVERLOADED map[policy:shed reason:` + strings.Repeat("a", 64) + `]`},
		{"a policy of somebody's", "quota", "used up", `Unavailable "rejected" fairlead/REJECTED map[policy:quota reason:used up]`},
		{"a policy without a name", "", "", `Unavailable "rejected" fairlead/REJECTED map[]`},
		{"a policy with an odd name", "\xff", "", `Unavailable "rejected" fairlead/REJECTED map[]`},
		{"a policy that refuses nothing", resilience.PolicyRetry, "", `Unavailable "rejected" fairlead/REJECTED map[policy:retry]`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			tel := newTelemetry(t, sdktrace.AlwaysSample())
			cc := serve(t, &service{handle: func(context.Context) error {
				return &resilience.RejectedError{Policy: tc.policy, Reason: tc.reason}
			}}, interceptors.ServerOptions(interceptors.Record(tel.recorder)), nil)
			if got := wire(callUnary(t.Context(), testgrpc.NewTestServiceClient(cc)), nil); got != tc.want {
				t.Errorf("the peer got  %s\nwant          %s", got, tc.want)
			}
		})
	}
}

// TestReasonsOfPeersAreNotKept.
func TestReasonsOfPeersAreNotKept(t *testing.T) {
	tel := newTelemetry(t, sdktrace.NeverSample())
	cc := serve(t, &service{handle: func(context.Context) error {
		return &resilience.RejectedError{Policy: resilience.PolicyBulkhead, Reason: rand.Text(), Remote: true}
	}}, interceptors.ServerOptions(interceptors.Record(tel.recorder)), nil)
	before := interceptors.BasesKept()
	_ = callUnary(t.Context(), testgrpc.NewTestServiceClient(cc))
	if got := interceptors.BasesKept(); got != before {
		t.Errorf("%d statuses kept, %d before", got, before)
	}
}

// TestManyReasons: reasons that never come again do not cost memory for ever, and
// travel all the same.
func TestManyReasons(t *testing.T) {
	tel := newTelemetry(t, sdktrace.NeverSample())
	reason := ""
	cc := serve(t, &service{handle: func(context.Context) error {
		return &resilience.RejectedError{Policy: resilience.PolicyBulkhead, Reason: reason}
	}}, interceptors.ServerOptions(interceptors.Record(tel.recorder)), nil)
	client := testgrpc.NewTestServiceClient(cc)
	for i := range 300 {
		reason = fmt.Sprint("reason ", i%200)
		want := fmt.Sprintf(`Unavailable "bulkhead full" fairlead/BULKHEAD_FULL map[policy:bulkhead reason:%s]`, reason)
		if got := wire(callUnary(t.Context(), client), nil); got != want {
			t.Fatalf("the peer got  %s\nwant          %s", got, want)
		}
	}
	if got := interceptors.BasesKept(); got > 100 {
		t.Errorf("%d statuses kept, want no more than 100", got)
	}
}

// answeringWith returns a server without Fairlead whose calls end with a status of these
// details.
func answeringWith(t *testing.T, code codes.Code, details []protoadapt.MessageV1, trailer metadata.MD) *service {
	t.Helper()
	st, err := status.New(code, "as I say").WithDetails(details...)
	if err != nil {
		t.Fatal(err)
	}
	return &service{handle: func(ctx context.Context) error {
		_ = grpc.SetTrailer(ctx, trailer)
		return st.Err()
	}}
}

// TestReconstruction: the caller's side of the table. Of a server that is not
// Fairlead's, too.
func TestReconstruction(t *testing.T) {
	for _, row := range wireRows {
		for _, kind := range callKinds {
			t.Run(string(row.policy)+"/"+kind.name, func(t *testing.T) {
				tel := newTelemetry(t, sdktrace.AlwaysSample())
				cc := serveAt(t, "passthrough:///inventory", answeringWith(t, row.code, []protoadapt.MessageV1{
					&errdetails.DebugInfo{Detail: "more"},
					&errdetails.ErrorInfo{Domain: "googleapis.com", Reason: "RATE_LIMITED"},
					&errdetails.ErrorInfo{Domain: "fairlead", Reason: row.reason, Metadata: map[string]string{"policy": "ignored", "reason": "so it is"}},
					&errdetails.RetryInfo{RetryDelay: durationpb.New(1500 * time.Millisecond)},
				}, nil), nil, interceptors.DialOptions(interceptors.Record(tel.recorder)))
				err := kind.call(t.Context(), testgrpc.NewTestServiceClient(cc))
				got, ok := errors.AsType[*resilience.RejectedError](err)
				if !ok {
					t.Fatalf("err = %v, want one with a RejectedError", err)
				}
				want := &resilience.RejectedError{Policy: row.policy, Name: "inventory", Reason: "so it is", RetryAfter: 1500 * time.Millisecond, Remote: true}
				if diff := cmp.Diff(want, got); diff != "" {
					t.Errorf("(-want +got):\n%s", diff)
				}
				for _, s := range sentinels {
					if got, want := errors.Is(err, s), s == row.matches; got != want {
						t.Errorf("errors.Is(err, %v) = %v, want %v", s, got, want)
					}
				}
				if st := status.Convert(err); st.Code() != row.code || st.Message() != "as I say" || len(st.Details()) != 4 {
					t.Errorf("the status is %v, want the one that was sent", st.Proto())
				}
				if want := fmt.Sprintf("rpc error: code = %v desc = as I say", row.code); err.Error() != want {
					t.Errorf("the text is %q, want %q", err, want)
				}
			})
		}
	}
}

// TestForeignWordsStayHere: what else a server says with a refusal is for the one who
// called it, and not for the caller of that one.
func TestForeignWordsStayHere(t *testing.T) {
	for _, kind := range callKinds {
		t.Run(kind.name, func(t *testing.T) {
			tel := newTelemetry(t, sdktrace.AlwaysSample())
			back := serve(t, answeringWith(t, codes.Unavailable, []protoadapt.MessageV1{
				&errdetails.DebugInfo{Detail: "at 10.0.0.7"},
				&errdetails.ErrorInfo{Domain: "fairlead", Reason: "OVERLOADED", Metadata: map[string]string{"at": "10.0.0.7"}},
				&errdetails.RetryInfo{RetryDelay: durationpb.New(time.Second)},
			}, nil), nil, interceptors.DialOptions(interceptors.Record(tel.recorder)))
			cc := serve(t, &service{handle: func(ctx context.Context) error { return kind.call(ctx, testgrpc.NewTestServiceClient(back)) }},
				interceptors.ServerOptions(interceptors.Record(tel.recorder)), nil)
			var trailer metadata.MD
			err := kind.call(t.Context(), testgrpc.NewTestServiceClient(cc), grpc.Trailer(&trailer))
			const want = `Unavailable "overloaded" fairlead/OVERLOADED map[policy:shed reason:overloaded] after 1s grpc-retry-pushback-ms ["1000"]`
			if got := wire(err, trailer); got != want {
				t.Errorf("the peer got  %s\nwant          %s", got, want)
			}
		})
	}
}

// TestWhatIsNoRefusal: nothing is made of what does not say clearly that it is one.
func TestWhatIsNoRefusal(t *testing.T) {
	for _, tc := range []struct {
		name    string
		details []protoadapt.MessageV1
	}{
		{"no details", nil},
		{"no ErrorInfo", []protoadapt.MessageV1{&errdetails.RetryInfo{RetryDelay: durationpb.New(time.Second)}}},
		{"another domain", []protoadapt.MessageV1{&errdetails.ErrorInfo{Domain: "googleapis.com", Reason: "RATE_LIMITED"}}},
		{"no domain", []protoadapt.MessageV1{&errdetails.ErrorInfo{Reason: "RATE_LIMITED"}}},
		{"a reason to come", []protoadapt.MessageV1{&errdetails.ErrorInfo{Domain: "fairlead", Reason: "MOON_IS_FULL"}}},
		{"a policy of somebody's", []protoadapt.MessageV1{&errdetails.ErrorInfo{Domain: "fairlead", Reason: "REJECTED", Metadata: map[string]string{"policy": "quota"}}}},
		{"no reason", []protoadapt.MessageV1{&errdetails.ErrorInfo{Domain: "fairlead", Metadata: map[string]string{"policy": "shed"}}}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			tel := newTelemetry(t, sdktrace.AlwaysSample())
			cc := serve(t, answeringWith(t, codes.ResourceExhausted, tc.details, nil), nil, interceptors.DialOptions(interceptors.Record(tel.recorder)))
			err := callUnary(t.Context(), testgrpc.NewTestServiceClient(cc))
			if e, ok := errors.AsType[*resilience.RejectedError](err); ok {
				t.Errorf("a refusal was made of it: %v", e)
			}
			if status.Code(err) != codes.ResourceExhausted {
				t.Errorf("err = %v", err)
			}
		})
	}
}

// TestWhatPeersSayIsBounded: a refusal says no more than it should, whatever the
// peer says.
func TestWhatPeersSayIsBounded(t *testing.T) {
	for _, tc := range []struct {
		name   string
		reason string
		after  *durationpb.Duration
		want   resilience.RejectedError
	}{
		{"no reason", "", nil, resilience.RejectedError{Reason: "overloaded"}},
		{"lines", "a\r\nb", nil, resilience.RejectedError{Reason: "overloaded"}},
		{"not ASCII", "ü", nil, resilience.RejectedError{Reason: "overloaded"}},
		{"long", strings.Repeat("a", 65), nil, resilience.RejectedError{Reason: "overloaded"}},
		{"negative", "r", durationpb.New(-time.Second), resilience.RejectedError{Reason: "r"}},
		{"long wait", "r", &durationpb.Duration{Seconds: math.MaxInt64}, resilience.RejectedError{Reason: "r", RetryAfter: 24 * time.Hour}},
		{"impossible", "r", &durationpb.Duration{Seconds: -1, Nanos: math.MaxInt32}, resilience.RejectedError{Reason: "r", RetryAfter: 1147483647}},
		{"to the nanosecond", "r", durationpb.New(17), resilience.RejectedError{Reason: "r", RetryAfter: 17}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			tel := newTelemetry(t, sdktrace.AlwaysSample())
			cc := serve(t, answeringWith(t, codes.Unavailable, []protoadapt.MessageV1{
				&errdetails.RetryInfo{RetryDelay: tc.after},
				&errdetails.ErrorInfo{Domain: "fairlead", Reason: "OVERLOADED", Metadata: map[string]string{"reason": tc.reason}},
				&errdetails.RetryInfo{RetryDelay: durationpb.New(time.Hour)}, // the first one that says something counts
			}, nil), nil, interceptors.DialOptions(interceptors.Record(tel.recorder)))
			err := callUnary(t.Context(), testgrpc.NewTestServiceClient(cc))
			got, ok := errors.AsType[*resilience.RejectedError](err)
			if !ok {
				t.Fatalf("err = %v, want one with a RejectedError", err)
			}
			want := tc.want
			want.Policy, want.Name, want.Remote = resilience.PolicyShed, "inventory", true
			if tc.after == nil {
				want.RetryAfter = time.Hour
			}
			if diff := cmp.Diff(&want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// TestPushbackOf: what a server says of another attempt.
func TestPushbackOf(t *testing.T) {
	with := func(d *durationpb.Duration) error {
		st, err := status.New(codes.Unavailable, "").WithDetails(&errdetails.RetryInfo{RetryDelay: d})
		if err != nil {
			t.Fatal(err)
		}
		return st.Err()
	}
	plain := status.Error(codes.Unavailable, "")
	trailer := func(values ...string) metadata.MD { return metadata.MD{"grpc-retry-pushback-ms": values} }
	for _, tc := range []struct {
		name    string
		trailer metadata.MD
		err     error
		want    retry.Pushback
	}{
		{"nothing", nil, plain, retry.Pushback{}},
		{"no status", nil, errors.New("x"), retry.Pushback{}},
		{"a trailer", trailer("250"), plain, retry.PushbackAfter(250 * time.Millisecond)},
		{"at once", trailer("0"), plain, retry.PushbackAfter(0)},
		{"stop", trailer("-1"), plain, retry.PushbackStop()},
		{"no number", trailer("soon"), plain, retry.PushbackStop()},
		{"empty", trailer(""), plain, retry.PushbackStop()},
		{"two", trailer("1", "1"), plain, retry.PushbackStop()},
		{"bounded", trailer("99999999999"), plain, retry.PushbackAfter(24 * time.Hour)},
		{"RetryInfo", nil, with(durationpb.New(3 * time.Second)), retry.PushbackAfter(3 * time.Second)},
		{"RetryInfo, wrapped", nil, fmt.Errorf("x: %w", with(durationpb.New(3*time.Second))), retry.PushbackAfter(3 * time.Second)},
		{"RetryInfo of nothing", nil, with(nil), retry.Pushback{}},
		{"RetryInfo bounded", nil, with(&durationpb.Duration{Seconds: 1 << 60}), retry.PushbackAfter(24 * time.Hour)},
		{"the trailer counts", trailer("-1"), with(durationpb.New(time.Second)), retry.PushbackStop()},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if got := interceptors.PushbackOf(tc.trailer, tc.err); got != tc.want {
				t.Errorf("got %+v, want %+v", got, tc.want)
			}
		})
	}
}

// TestSharedRefusal: one error may answer several calls at once, as those that wait
// for the same thing have it, and each is told all of it.
func TestSharedRefusal(t *testing.T) {
	tel := newTelemetry(t, sdktrace.NeverSample())
	shared := fmt.Errorf("x: %w", &resilience.RejectedError{Policy: resilience.PolicyBreaker, RetryAfter: time.Second})
	cc := serve(t, &service{handle: func(context.Context) error { return shared }},
		interceptors.ServerOptions(interceptors.Record(tel.recorder)), nil)
	client := testgrpc.NewTestServiceClient(cc)
	done := make(chan metadata.MD)
	for range 20 {
		go func() {
			var trailer metadata.MD
			_ = callUnary(t.Context(), client, grpc.Trailer(&trailer))
			done <- trailer
		}()
	}
	for range 20 {
		if got := (<-done).Get("grpc-retry-pushback-ms"); len(got) != 1 || got[0] != "1000" {
			t.Errorf("pushback %q, want 1000", got)
		}
	}
}
