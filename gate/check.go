package gate

// check names one thing that the gate looks at before it lets a call through.
type check string

// The checks, in the order in which a call meets them.
const (
	checkCurrent    check = "current"    // the token and its person are still good
	checkScope      check = "scope"      // the tool is in the scope of the token and of all its parents
	checkPermission check = "permission" // the person may do it now
	checkSchema     check = "schema"     // the arguments fit
	checkUses       check = "uses"       // a use is left
	checkGuards     check = "guards"     // no guard objects
	checkAsk        check = "ask"        // what must be asked is not simply done
	checkIntent     check = "intent"     // the intent is durable before the effect
	checkRow        check = "row"        // the row is durable before the result
)

// checks are what Break of a build with the tag breakable can switch off.
var checks = []check{ //nolint:unused // other builds have no use for it
	checkCurrent, checkScope, checkPermission, checkSchema, checkUses, checkGuards, checkAsk, checkIntent, checkRow,
}
