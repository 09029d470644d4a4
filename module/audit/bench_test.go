package audit_test

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"gatehouse/gate"
	"gatehouse/outcome"
	"gatehouse/store/storetest"
)

// BenchmarkRecord measures rows of calls that only read, with callers that each wait for theirs. Sealing is the test's own,
// which costs next to nothing.
func BenchmarkRecord(b *testing.B) {
	for _, callers := range []int{1, 64} {
		b.Run(fmt.Sprint("callers=", callers), func(b *testing.B) {
			l := newLog(b, storetest.SQLite(b))
			r := row(b, gate.Reads, outcome.OK)
			var left atomic.Int64
			left.Store(int64(b.N))
			before := processorTime(b)
			b.ReportAllocs()
			b.ResetTimer()
			var wg sync.WaitGroup
			for range callers {
				wg.Go(func() {
					for left.Add(-1) >= 0 {
						if _, err := l.Record(b.Context(), gate.Ticket{}, r); err != nil {
							b.Error(err)
							return
						}
					}
				})
			}
			wg.Wait()
			b.StopTimer()
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "rows/s")
			b.ReportMetric(float64((processorTime(b)-before).Microseconds())/float64(b.N), "cpu-µs/row")
		})
	}
}
