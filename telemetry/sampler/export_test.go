// SPDX-License-Identifier: Apache-2.0

package sampler

// Glob is glob, for its fuzz target.
var Glob = glob
