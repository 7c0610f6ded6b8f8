// SPDX-License-Identifier: Apache-2.0

package grpcbalancer

// ResultOf is what Done makes of the end of a call.
var ResultOf = resultOf
