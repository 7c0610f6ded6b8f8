// SPDX-License-Identifier: Apache-2.0

package semconv

import (
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
)

// RPC attributes. All are strings.
const (
	// RPCSystemNameKey is always [RPCSystemGRPC] here.
	RPCSystemNameKey = semconv.RPCSystemNameKey
	// RPCMethodKey is "pkg.Service/Method" without a leading slash, or [Other]
	// for a method nobody registered.
	RPCMethodKey = semconv.RPCMethodKey
	// RPCMethodOriginalKey is what the peer sent when RPCMethodKey is [Other].
	// On spans only: its values have no bound.
	RPCMethodOriginalKey = semconv.RPCMethodOriginalKey
	// RPCResponseStatusCodeKey is a code's name, see [GRPCCode].
	RPCResponseStatusCodeKey = semconv.RPCResponseStatusCodeKey
)

// RPCSystemGRPC is the value of [RPCSystemNameKey].
const RPCSystemGRPC = "grpc"

// HTTP attributes.
const (
	// HTTPRequestMethodKey (string) is a known method or [Other].
	HTTPRequestMethodKey = semconv.HTTPRequestMethodKey
	// HTTPRequestMethodOriginalKey (string) is the peer's method when that
	// differs from HTTPRequestMethodKey. On spans only.
	HTTPRequestMethodOriginalKey = semconv.HTTPRequestMethodOriginalKey
	// HTTPRequestResendCountKey (int) is 1 for the second attempt.
	HTTPRequestResendCountKey = semconv.HTTPRequestResendCountKey
	// HTTPRequestBodySizeKey (int) is in bytes.
	HTTPRequestBodySizeKey = semconv.HTTPRequestBodySizeKey
	// HTTPResponseBodySizeKey (int) is in bytes.
	HTTPResponseBodySizeKey = semconv.HTTPResponseBodySizeKey
	// HTTPResponseStatusCodeKey (int) is absent if no status was sent or received.
	HTTPResponseStatusCodeKey = semconv.HTTPResponseStatusCodeKey
	// HTTPRouteKey (string) is the pattern that matched, see [HTTPRoute]; never a path.
	HTTPRouteKey = semconv.HTTPRouteKey
)

// URL and user agent attributes, all strings.
const (
	URLSchemeKey = semconv.URLSchemeKey
	URLPathKey   = semconv.URLPathKey
	URLQueryKey  = semconv.URLQueryKey
	// URLFullKey is on client spans; credentials in it must be redacted first.
	URLFullKey           = semconv.URLFullKey
	UserAgentOriginalKey = semconv.UserAgentOriginalKey
)

// Network attributes; the ports are ints, the rest strings.
const (
	// ServerAddressKey is the logical server: on a client the name it dialled,
	// not the address a resolver chose.
	ServerAddressKey          = semconv.ServerAddressKey
	ServerPortKey             = semconv.ServerPortKey
	ClientAddressKey          = semconv.ClientAddressKey
	ClientPortKey             = semconv.ClientPortKey
	NetworkPeerAddressKey     = semconv.NetworkPeerAddressKey
	NetworkPeerPortKey        = semconv.NetworkPeerPortKey
	NetworkTransportKey       = semconv.NetworkTransportKey
	NetworkProtocolNameKey    = semconv.NetworkProtocolNameKey
	NetworkProtocolVersionKey = semconv.NetworkProtocolVersionKey
)

// Error attributes, all strings.
const (
	// ErrorTypeKey is present only if the operation failed, and of few values.
	ErrorTypeKey           = semconv.ErrorTypeKey
	ExceptionTypeKey       = semconv.ExceptionTypeKey
	ExceptionMessageKey    = semconv.ExceptionMessageKey
	ExceptionStacktraceKey = semconv.ExceptionStacktraceKey
	// ExceptionEvent is the name of the span event that carries the three above.
	ExceptionEvent = "exception"
)

// Messaging attributes for work that crosses a queue, all strings.
const (
	MessagingSystemKey          = semconv.MessagingSystemKey
	MessagingOperationNameKey   = semconv.MessagingOperationNameKey
	MessagingOperationTypeKey   = semconv.MessagingOperationTypeKey
	MessagingDestinationNameKey = semconv.MessagingDestinationNameKey
)

// Resource attributes, all strings.
const (
	ServiceNameKey       = semconv.ServiceNameKey
	ServiceVersionKey    = semconv.ServiceVersionKey
	ServiceInstanceIDKey = semconv.ServiceInstanceIDKey
)
