// SPDX-License-Identifier: Apache-2.0

package interceptors_test

import (
	"errors"
	"testing"
	"time"

	spb "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/fairlead-go/fairlead/interceptors"
	"github.com/fairlead-go/fairlead/resilience"
)

// FuzzRefusalOfAPeer: whatever stands in a status and in a trailer, what is made of it
// is bounded and fit to be shown.
func FuzzRefusalOfAPeer(f *testing.F) {
	const (
		errorInfo = "type.googleapis.com/google.rpc.ErrorInfo"
		retryInfo = "type.googleapis.com/google.rpc.RetryInfo"
	)
	marshal := func(details ...*anypb.Any) []byte {
		raw, err := proto.Marshal(&spb.Status{Code: 14, Message: "m", Details: details})
		if err != nil {
			f.Fatal(err)
		}
		return raw
	}
	info := []byte("\x0a\x0aOVERLOADED\x12\x08fairlead\x1a\x0c\x0a\x06reason\x12\x02so")
	f.Add(marshal(&anypb.Any{TypeUrl: errorInfo, Value: info}, &anypb.Any{TypeUrl: retryInfo, Value: []byte("\x0a\x02\x08\x05")}), "250", uint8(1))
	f.Add(marshal(&anypb.Any{TypeUrl: errorInfo, Value: info}, &anypb.Any{TypeUrl: retryInfo, Value: []byte("\x0a\x0b\x08\xff\xff\xff\xff\xff\xff\xff\xff\x7f")}), "-1", uint8(1))
	f.Add(marshal(&anypb.Any{TypeUrl: errorInfo, Value: []byte("\x0a\x0aOVERLOADED\x12\x08fairlead\x1a\x0c\x0a\x06reason\x12\x02\xff\n")}), "", uint8(2))
	f.Add(marshal(&anypb.Any{TypeUrl: "no/such.Type", Value: []byte("x")}, &anypb.Any{}), "x", uint8(0))
	f.Add([]byte("not a status"), "9223372036854775808", uint8(1))
	f.Fuzz(func(t *testing.T, raw []byte, pushback string, times uint8) {
		var p spb.Status
		if proto.Unmarshal(raw, &p) != nil {
			return
		}
		err := status.ErrorProto(&p)
		made := interceptors.Reconstructed(err, "dns:///inventory:443")
		if e, ok := errors.AsType[*resilience.RejectedError](made); ok {
			checkPeersRefusal(t, e)
			if st := status.Convert(made); !proto.Equal(st.Proto(), status.Convert(err).Proto()) || made.Error() != err.Error() {
				t.Errorf("the status is %v, was %v", st, err)
			}
			if again := interceptors.Reconstructed(made, "elsewhere"); again != made { //nolint:errorlint // the very same
				t.Errorf("made of it twice: %v", again)
			}
		} else if made != err { //nolint:errorlint // the very same
			t.Errorf("no refusal, and yet %v became %v", err, made)
		}
		trailer := metadata.MD{}
		for range times % 3 {
			trailer.Append("grpc-retry-pushback-ms", pushback)
		}
		said := interceptors.PushbackOf(trailer, made)
		d, again := said.After()
		if d < 0 || d > 24*time.Hour || said.IsStop() && again || len(trailer) > 0 && said.IsStop() == again {
			t.Errorf("pushback %+v", said)
		}
		_ = interceptors.OutcomeOfCall(t.Context(), made).String()
	})
}

// checkPeersRefusal holds what was made of a peer's word to its bounds.
func checkPeersRefusal(t *testing.T, e *resilience.RejectedError) {
	t.Helper()
	if e.RetryAfter < 0 || e.RetryAfter > 24*time.Hour {
		t.Errorf("retry after %v", e.RetryAfter)
	}
	if e.Reason == "" || len(e.Reason) > 64 {
		t.Errorf("a reason of %d bytes", len(e.Reason))
	}
	for _, r := range e.Reason {
		if r < ' ' || r > '~' {
			t.Errorf("reason %q", e.Reason)
		}
	}
	if !e.Remote || e.Name != "inventory:443" || e.Err != nil {
		t.Errorf("%+v", e)
	}
	for _, row := range wireRows {
		if e.Policy == row.policy {
			return
		}
	}
	t.Errorf("policy %q", e.Policy)
}
