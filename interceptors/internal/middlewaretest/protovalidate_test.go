// SPDX-License-Identifier: Apache-2.0

package middlewaretest_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net"
	"strings"
	"sync"
	"testing"

	"buf.build/go/protovalidate"
	middleware "github.com/grpc-ecosystem/go-grpc-middleware/v2/interceptors/protovalidate"
	"github.com/grpc-ecosystem/go-grpc-middleware/v2/testing/testvalidate"
	testvalidatev1 "github.com/grpc-ecosystem/go-grpc-middleware/v2/testing/testvalidate/v1"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/test/bufconn"

	"github.com/fairlead-go/fairlead/interceptors"
	"github.com/fairlead-go/fairlead/record"
)

// serve runs the middleware's own test service behind the record, recovery and
// validation, and returns a client of it and the request log.
func serve(t *testing.T) (testvalidatev1.TestValidateServiceClient, *bytes.Buffer) {
	t.Helper()
	log := &bytes.Buffer{}
	rec, err := record.New(record.WithLogger(slog.New(slog.NewJSONHandler(log, nil))))
	if err != nil {
		t.Fatal(err)
	}
	validator, err := protovalidate.New()
	if err != nil {
		t.Fatal(err)
	}
	s := grpc.NewServer(interceptors.ServerOptions(
		interceptors.Record(rec),
		interceptors.Recovery(),
		interceptors.ServerFuncs{
			Unary:  middleware.UnaryServerInterceptor(validator),
			Stream: middleware.StreamServerInterceptor(validator),
		})...)
	testvalidatev1.RegisterTestValidateServiceServer(s, &testvalidate.TestValidateService{})
	lis := bufconn.Listen(1 << 16)
	var wg sync.WaitGroup
	wg.Go(func() { _ = s.Serve(lis) })
	cc, err := grpc.NewClient("passthrough:///validate",
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return lis.DialContext(ctx) }))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cc.Close()
		s.Stop()
		wg.Wait()
	})
	return testvalidatev1.NewTestValidateServiceClient(cc), log
}

// TestProtovalidate: what validation refuses is refused, with its details, and
// recorded as the caller's fault; what it lets pass is served.
func TestProtovalidate(t *testing.T) {
	send := func(ctx context.Context, c testvalidatev1.TestValidateServiceClient, good bool) error {
		req := testvalidate.BadUnaryRequest
		if good {
			req = testvalidate.GoodUnaryRequest
		}
		_, err := c.Send(ctx, req)
		return err
	}
	stream := func(ctx context.Context, c testvalidatev1.TestValidateServiceClient, good bool) error {
		req := testvalidate.BadStreamRequest
		if good {
			req = testvalidate.GoodStreamRequest
		}
		cs, err := c.SendStream(ctx, req)
		for err == nil {
			_, err = cs.Recv()
		}
		if err == io.EOF {
			return nil
		}
		return err
	}
	for name, call := range map[string]func(context.Context, testvalidatev1.TestValidateServiceClient, bool) error{"Send": send, "SendStream": stream} {
		t.Run(name, func(t *testing.T) {
			client, log := serve(t)
			err := call(t.Context(), client, false)
			if st := status.Convert(err); st.Code() != codes.InvalidArgument || len(st.Details()) != 1 {
				t.Errorf("bad request: %v with %d details, want InvalidArgument with the violations", err, len(st.Details()))
			}
			if err := call(t.Context(), client, true); err != nil {
				t.Errorf("good request: %v", err)
			}
			var lines []map[string]any
			for line := range strings.Lines(log.String()) {
				var m map[string]any
				if err := json.Unmarshal([]byte(line), &m); err != nil {
					t.Fatal(err)
				}
				lines = append(lines, m)
			}
			if len(lines) != 2 {
				t.Fatalf("request log:\n%s", log)
			}
			bad, good := lines[0], lines[1]
			if bad["rpc.response.status_code"] != "INVALID_ARGUMENT" || bad["outcome"] != "client_fault" ||
				!strings.HasSuffix(bad["rpc.method"].(string), "/"+name) || good["rpc.response.status_code"] != "OK" {
				t.Errorf("request log:\n%s", log)
			}
		})
	}
}
