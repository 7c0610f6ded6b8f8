// SPDX-License-Identifier: Apache-2.0

package grpchealth

import (
	"context"
	"fmt"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"

	"github.com/fairlead-go/fairlead/health"
)

// Check returns a check of a dependency over gRPC: it passes if the health service at the
// other end of conn says that service is SERVING; "" is the process as a whole. A nil
// conn gives a nil Check, which [health.Set.Add] refuses.
//
// A connection that spreads calls over many instances asks any one of them, which says
// little of the others: such a dependency is there if there is somebody to call.
func Check(conn grpc.ClientConnInterface, service string) health.Check {
	if conn == nil {
		return nil
	}
	client := grpc_health_v1.NewHealthClient(conn)
	return func(ctx context.Context) error {
		resp, err := client.Check(ctx, &grpc_health_v1.HealthCheckRequest{Service: service})
		switch {
		case status.Code(err) == codes.DeadlineExceeded:
			return fmt.Errorf("%w: %w", context.DeadlineExceeded, err)
		case err != nil:
			return err
		case resp.GetStatus() != grpc_health_v1.HealthCheckResponse_SERVING:
			return fmt.Errorf("grpchealth: service %q is %v", service, resp.GetStatus())
		}
		return nil
	}
}
