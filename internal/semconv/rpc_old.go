// SPDX-License-Identifier: Apache-2.0

package semconv

import "go.opentelemetry.io/otel/attribute"

// RPC attributes as they were up to version 1.37.0 of the conventions.
const (
	// OldRPCSystemKey (string) is "grpc".
	OldRPCSystemKey = attribute.Key("rpc.system")
	// OldRPCServiceKey (string) is "pkg.Service".
	OldRPCServiceKey = attribute.Key("rpc.service")
	// OldRPCMethodKey (string) is "Method" alone. It has the same name as
	// [RPCMethodKey]; where both are asked for, the new value wins.
	OldRPCMethodKey = attribute.Key("rpc.method")
	// OldRPCStatusCodeKey (int) is the code's number.
	OldRPCStatusCodeKey = attribute.Key("rpc.grpc.status_code")
)

// OldRPCAttributes returns the old attributes that a call to method, which is
// "pkg.Service/Method", has from its start. With new attributes beside them,
// put those last.
func OldRPCAttributes(method string) []attribute.KeyValue {
	service, name := SplitRPCMethod(method)
	return []attribute.KeyValue{
		OldRPCSystemKey.String(RPCSystemGRPC),
		OldRPCServiceKey.String(service),
		OldRPCMethodKey.String(name),
	}
}
