// SPDX-License-Identifier: Apache-2.0

package redislimit

import (
	"context"
	"crypto/sha256"
	_ "embed"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/fairlead-go/fairlead/resilience/ratelimit"
)

// window.lua is run as a whole or not at all, and nothing else runs meanwhile.
//
//go:embed window.lua
var windowSource string

// numPartitions is how many hash tags there are. Processes of different versions
// share keys, so it must not change.
const numPartitions = 64

// window is the sliding window of one configuration.
type window struct {
	script *redis.Script
	prefix string
	limit  int
	slots  int
	slice  time.Duration
}

// newWindow returns a window in which a permit counts for at least c.window after
// it has been used, which is c.hold after it was counted, or earlier.
func newWindow(c *config, limit int) window {
	covered := c.window + c.hold()
	return window{
		script: redis.NewScript(windowSource),
		prefix: c.prefix,
		limit:  limit,
		// The slice that is under way is the one more.
		slots: int((covered+c.slice-1)/c.slice) + 1,
		slice: c.slice,
	}
}

// location is where the count of a key is.
type location struct {
	partition int
	key       string
}

// locate names the key. Lengths keep ("ab", "c") and ("a", "bc") apart.
func (w *window) locate(name string, key ratelimit.Key) location {
	var buf []byte
	for _, part := range []string{name, key.Client, key.Method} {
		buf = binary.AppendUvarint(buf, uint64(len(part)))
		buf = append(buf, part...)
	}
	sum := sha256.Sum256(buf)
	partition := int(sum[0]) % numPartitions
	return location{partition, w.keyIn(partition, hex.EncodeToString(sum[:16]))}
}

func (w *window) keyIn(partition int, name string) string {
	return fmt.Sprintf("%s:{%d}:%dx%d:%s", w.prefix, partition, w.slots, w.slice.Milliseconds(), name)
}

// take asks for up to n permits and returns how many there were and, if none, after
// what time there will be one.
func (w *window) take(ctx context.Context, c redis.Scripter, key string, n int) (granted int, retryAfter time.Duration, err error) {
	reply, err := w.script.Run(ctx, c, []string{key}, w.limit, n, w.slots, w.slice.Milliseconds()).Int64Slice()
	if err != nil {
		return 0, 0, err
	}
	most := int64(w.slots) * w.slice.Milliseconds()
	if len(reply) != 2 || reply[0] < 0 || reply[0] > int64(n) || reply[1] < 0 || reply[1] > most || n > 0 && reply[0] == 0 && reply[1] == 0 {
		return 0, 0, fmt.Errorf("redislimit: %v is no answer to a request for %d permits", reply, n)
	}
	return int(reply[0]), time.Duration(reply[1]) * time.Millisecond, nil
}

// probe asks for nothing, in a partition.
func (w *window) probe(ctx context.Context, c redis.Scripter, partition int) error {
	_, _, err := w.take(ctx, c, w.keyIn(partition, "probe"+strconv.Itoa(partition)), 0)
	return err
}
