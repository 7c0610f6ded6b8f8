// SPDX-License-Identifier: Apache-2.0

package semconv

import "strings"

// grpcCodes are the names of gRPC's status codes as the conventions spell them
// (https://grpc.github.io/grpc/core/md_doc_statuscodes.html), by number.
var grpcCodes = [...]string{
	"OK", "CANCELLED", "UNKNOWN", "INVALID_ARGUMENT", "DEADLINE_EXCEEDED",
	"NOT_FOUND", "ALREADY_EXISTS", "PERMISSION_DENIED", "RESOURCE_EXHAUSTED",
	"FAILED_PRECONDITION", "ABORTED", "OUT_OF_RANGE", "UNIMPLEMENTED", "INTERNAL",
	"UNAVAILABLE", "DATA_LOSS", "UNAUTHENTICATED",
}

// GRPCCodes is how many gRPC status codes have a name: 0 to GRPCCodes-1.
const GRPCCodes = len(grpcCodes)

// serverFaults marks the codes that count as an error on the server's side; the
// others are the caller's doing or the caller's news. A client counts every
// code but OK.
const serverFaults = 1<<2 | 1<<4 | 1<<12 | 1<<13 | 1<<14 | 1<<15

// GRPCCode returns the name of a gRPC status code, "DEADLINE_EXCEEDED" for 4,
// and [Other] for a number without a name: those come from the peer and have no
// bound.
func GRPCCode(code uint32) string {
	if code < uint32(len(grpcCodes)) {
		return grpcCodes[code]
	}
	return Other
}

// ServerFault reports whether a server's span that ended with code has the
// status Error and its metrics an error.type: UNKNOWN, DEADLINE_EXCEEDED,
// UNIMPLEMENTED, INTERNAL, UNAVAILABLE and DATA_LOSS
// (https://opentelemetry.io/docs/specs/semconv/rpc/grpc/#grpc-status). A code
// without a name is a fault.
func ServerFault(code uint32) bool {
	return code >= uint32(len(grpcCodes)) || serverFaults&(1<<code) != 0
}

// RPCErrorType returns the error.type of a call that ended with code: the code's
// name if this side counts it as an error, otherwise "".
func RPCErrorType(server bool, code uint32) string {
	if code == 0 || server && !ServerFault(code) {
		return ""
	}
	return GRPCCode(code)
}

// RPCMethod returns the rpc.method, which is also the span's name, of gRPC's full
// method "/pkg.Service/Method".
func RPCMethod(fullMethod string) string {
	return strings.TrimPrefix(fullMethod, "/")
}

// SplitRPCMethod cuts "pkg.Service/Method", with or without a leading slash, at
// its last slash, as grpc-go does. Without a slash the service is empty.
func SplitRPCMethod(method string) (service, name string) {
	method = strings.TrimPrefix(method, "/")
	i := strings.LastIndexByte(method, '/')
	if i < 0 {
		return "", method
	}
	return method[:i], method[i+1:]
}
