package httpfront

// BodyTime is how long a client may take to send a body.
const BodyTime = bodyTime
