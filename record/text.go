// SPDX-License-Identifier: Apache-2.0

package record

import "strings"

// maxValue bounds a peer's text on a span or in the log, in bytes.
const maxValue = 1024

// bounded returns a peer's text as it may stand on a span: of bounded length,
// and valid UTF-8, because one invalid string makes OTLP refuse the whole batch
// of spans it is in.
func bounded(s string) string {
	return strings.ToValidUTF8(s[:min(len(s), maxValue)], "\uFFFD")
}
