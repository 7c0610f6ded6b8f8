// SPDX-License-Identifier: Apache-2.0

package snapshot

import (
	"crypto/sha256"
	"encoding/hex"
	"slices"
)

var (
	Encode = encode
	Decode = decode
)

// Sum returns text with a checksum at its end.
func Sum(text []byte) []byte {
	text = append(slices.Clone(text), '\n')
	sum := sha256.Sum256(text)
	return append(text, checksum+hex.EncodeToString(sum[:])+"\n"...)
}
