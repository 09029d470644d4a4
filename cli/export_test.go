package cli

// Visible and VisibleJSON are what keeps strangers' characters off the terminal.
var (
	Visible     = visible
	VisibleJSON = visibleJSON
)

// DataFlag is how a data folder is named in commands that are shown.
var DataFlag = dataFlag
