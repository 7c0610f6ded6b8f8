// SPDX-License-Identifier: Apache-2.0

package httpresolver

import (
	"net/http"
	"strconv"
	"time"

	"github.com/fairlead-go/fairlead/discovery/balancer"
)

const headerRetryAfter = "Retry-After"

// ResultOf returns what a response says about the instance that it is from, by its
// status: 429, and 503 with a Retry-After, are [balancer.Overload]; other statuses from 500
// on are [balancer.Failed], but for 501 and 505, which are about what was asked for;
// everything else is [balancer.OK].
func ResultOf(resp *http.Response) balancer.Result {
	switch code := resp.StatusCode; {
	case code == http.StatusTooManyRequests,
		code == http.StatusServiceUnavailable && resp.Header.Get(headerRetryAfter) != "":
		return balancer.Overload
	case code < 500, code == http.StatusNotImplemented, code == http.StatusHTTPVersionNotSupported:
		return balancer.OK
	default:
		return balancer.Failed
	}
}

// maxRetryAfter bounds what is believed of a server.
const maxRetryAfter = time.Hour

// retryAfter reads when a server wants to be asked again (RFC 9110, section 10.2.3): in so
// many seconds, or at a time. It is 0 if it does not say so.
func retryAfter(h http.Header, now time.Time) time.Duration {
	value := h.Get(headerRetryAfter)
	if seconds, err := strconv.ParseUint(value, 10, 31); err == nil {
		return min(time.Duration(seconds)*time.Second, maxRetryAfter) //nolint:gosec // 31 bits
	}
	at, err := http.ParseTime(value)
	if err != nil {
		return 0
	}
	return min(max(at.Sub(now), 0), maxRetryAfter)
}
