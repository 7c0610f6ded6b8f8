// SPDX-License-Identifier: Apache-2.0

package grpcbalancer

import (
	"strconv"
	"time"

	"google.golang.org/grpc/balancer"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	core "github.com/fairlead-go/fairlead/discovery/balancer"
)

// pushback is the trailer by which a server says when to try again (gRFC A6).
const pushback = "grpc-retry-pushback-ms"

// results says what a status code says about the endpoint that it came from. Codes that
// find fault with the request are answers. So is Aborted: a conflict of two requests. What
// is left is a server's: it broke, it was not there, or it did not answer in time, which
// is all that is seen of one that hangs. That interceptors' table knows
// more about whose fault a code is matters to those who answer for a call; here, it
// is compared with what the same calls get elsewhere.
var results = [...]core.Result{
	codes.OK:                 core.OK,
	codes.Canceled:           core.Ignored,
	codes.Unknown:            core.Failed,
	codes.InvalidArgument:    core.OK,
	codes.DeadlineExceeded:   core.Failed,
	codes.NotFound:           core.OK,
	codes.AlreadyExists:      core.OK,
	codes.PermissionDenied:   core.OK,
	codes.ResourceExhausted:  core.Overload,
	codes.FailedPrecondition: core.OK,
	codes.Aborted:            core.OK,
	codes.OutOfRange:         core.OK,
	codes.Unimplemented:      core.OK,
	codes.Internal:           core.Failed,
	codes.Unavailable:        core.Failed,
	codes.DataLoss:           core.Failed,
	codes.Unauthenticated:    core.OK,
}

// resultOf returns what the end of a call says about its endpoint. A call that never left says
// nothing: its connection was going, which is known by other means.
func resultOf(info balancer.DoneInfo) (core.Result, time.Duration) {
	if !info.BytesSent {
		return core.Ignored, 0
	}
	if info.Err == nil {
		return core.OK, 0
	}
	result := core.Failed
	code := status.Code(info.Err)
	if int(code) < len(results) {
		result = results[code]
	}
	retryAfter, pushed := pushbackOf(info.Trailer)
	if pushed && code == codes.Unavailable {
		result = core.Overload // it is there, and busy
	}
	return result, retryAfter
}

// maxPushback is more than is heeded, and less than overflows.
const maxPushback = 1 << 31

// pushbackOf returns how long a server wants to be left alone, and false if it does not
// say, or says that a call is not to be tried again.
func pushbackOf(trailer metadata.MD) (time.Duration, bool) {
	values := trailer[pushback]
	if len(values) != 1 {
		return 0, false
	}
	ms, err := strconv.ParseUint(values[0], 10, 64)
	if err != nil {
		return 0, false
	}
	return time.Duration(min(ms, maxPushback)) * time.Millisecond, true
}
