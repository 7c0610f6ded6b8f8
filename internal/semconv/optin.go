// SPDX-License-Identifier: Apache-2.0

package semconv

import (
	"os"
	"strings"
)

// OptInEnv is the environment variable that chooses between old and new names.
const OptInEnv = "OTEL_SEMCONV_STABILITY_OPT_IN"

// RPCMode says which names RPC spans and metrics get. The zero value is the new
// names alone.
type RPCMode uint8

// The modes.
const (
	// RPCNew is the default, and what "rpc" asks for.
	RPCNew RPCMode = iota
	// RPCDup is "rpc/dup": old and new names side by side.
	RPCDup
	// RPCOld is "rpc/old": the old names alone.
	RPCOld
)

// New reports whether the new names are wanted.
func (m RPCMode) New() bool { return m != RPCOld }

// Old reports whether the old names are wanted.
func (m RPCMode) Old() bool { return m != RPCNew }

// RPCModeFromEnv reads OTEL_SEMCONV_STABILITY_OPT_IN.
func RPCModeFromEnv() RPCMode { return ParseRPCMode(os.Getenv(OptInEnv)) }

// ParseRPCMode reads a value of OTEL_SEMCONV_STABILITY_OPT_IN, a comma-separated
// list. The first of rpc/dup and rpc/old in it decides, as in otelgrpc; entries for
// other areas, and unknown ones, say nothing.
func ParseRPCMode(value string) RPCMode {
	for entry := range strings.SplitSeq(value, ",") {
		switch strings.TrimSpace(entry) {
		case "rpc/dup":
			return RPCDup
		case "rpc/old":
			return RPCOld
		}
	}
	return RPCNew
}
