// SPDX-License-Identifier: Apache-2.0

package httpmw

import "net/http"

// Pool returns the connection pool at the bottom of a client of NewClient.
func Pool(c *http.Client) *http.Transport { return c.Transport.(*pooledTransport).pool }
