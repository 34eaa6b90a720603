import { HttpFailure } from "../../http/json-server.ts";
import { ERROR_STATUS, type WireErrorCode } from "./protocol.ts";

/** A refusal or failure of the protocol. */
export class RemoteFailure extends HttpFailure<WireErrorCode> {
  constructor(code: WireErrorCode, message: string) {
    super(code, ERROR_STATUS[code], message);
  }
}
