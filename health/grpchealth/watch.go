// SPDX-License-Identifier: Apache-2.0

package grpchealth

import (
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"
)

// lookAgain is how often a watch looks without being told: nobody tells of a check that
// is stale, because nobody gets round to it.
const lookAgain = 5 * time.Second

// Watch implements the health service: the status at once, and each time that it has
// changed; SERVICE_UNKNOWN for a service that is not known (yet). What a client does not
// take in time is not kept for it: it gets what is so when it does. A watch ends with its
// client, or as UNAVAILABLE with the server ([Server.Close]).
func (s *Server) Watch(req *grpc_health_v1.HealthCheckRequest, stream grpc.ServerStreamingServer[grpc_health_v1.HealthCheckResponse]) error {
	again := time.NewTicker(lookAgain)
	defer again.Stop()
	sent := grpc_health_v1.HealthCheckResponse_ServingStatus(-1)
	for {
		st, _, closed, changed := s.look(req.GetService())
		if closed && sent < 0 {
			// A client that is told anything asks again at once: this one is not to.
			return status.Error(codes.Unavailable, "shutting down")
		}
		if st != sent {
			if err := stream.Send(&grpc_health_v1.HealthCheckResponse{Status: st}); err != nil {
				return err
			}
			sent = st
		}
		if closed {
			return status.Error(codes.Unavailable, "shutting down")
		}
		select {
		case <-changed:
		case <-again.C:
		case <-stream.Context().Done():
			return status.FromContextError(stream.Context().Err()).Err()
		}
	}
}
